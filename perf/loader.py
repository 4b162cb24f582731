"""Reading images.

Images a second of one core, as times those of plain Pillow, which gives the same bytes: JPEG files of 224
pixels, which corrupted sets store; those of 500 x 375 pixels, decoded only; and the same through a resize to
256 and a crop to 224, on the path that evaluation takes. torchvision decodes
to the same bytes, and its resize differs by a level at most.
"""

import importlib
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from flatqat.data.images.encoded import decode_file, rgb_pixels
from flatqat.data.images.views import eval_crop
from flatqat.data.tensors.image_data import ImageData
from flatqat.data.tensors.image_files import image_files
from flatqat.spec import EvalTransform
from perf.rounds import Call, Row, built, row, turns

COUNT, GOAL = 32, "≥ 1.4"
STORED, PHOTOGRAPH = (224, 224), (500, 375)
Crop = Callable[[Image.Image], Image.Image]


def rows(rounds: int) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        small = photographs(Path(folder), STORED, quality=85)
        large = photographs(Path(folder), PHOTOGRAPH, quality=90)
        stored, viewed = files(small, side=STORED[0]), files(large).transformed(eval_crop(EvalTransform()))
        return [
            beside("files of 224 px", small, partial(fetched, stored), lambda image: image, rounds),
            beside("files of 500 x 375 px, decoded only", large, lambda: decoded(large), None, rounds),
            beside(
                "files of 500 x 375 px, resized and cropped", large, partial(fetched, viewed), crop, rounds
            ),
        ]


def beside(title: str, paths: list[Path], ours: Call, view: Crop | None, rounds: int) -> Row:
    """Return the row of `ours` beside others that do the same. Raises AssertionError where Pillow differs."""
    calls = {"flatqat": ours, "Pillow": lambda: pillow(paths, view)}
    first, second = (call() for call in calls.values())
    if not np.array_equal(np.asarray(first), np.asarray(second)):
        raise AssertionError(f"{title}: expected the bytes of Pillow from the product's path, got others")
    others, absent = built({"torchvision": lambda: torchvision(paths, view)})
    times, name = turns({**calls, **others}, rounds), f"images a second, flatqat / Pillow, {title}"
    return row(name, times, "flatqat", "Pillow", peers=list(others), absent=absent, speed=True, goal=GOAL)


def photographs(folder: Path, size: tuple[int, int], quality: int) -> list[Path]:
    """Write files of this width and height, cut from a photograph that scikit-learn ships."""
    from sklearn.datasets import load_sample_image

    whole = load_sample_image("china.jpg")  # (427, 640, 3)
    paths = [folder / f"{size[0]} {at}.jpg" for at in range(COUNT)]
    for at, path in enumerate(paths):
        top, left = at % 50, at * 4 % 140
        cut = np.roll(whole[top : top + size[1], left : left + size[0]], at, axis=2)
        Image.fromarray(cut).save(path, quality=quality)
    return paths


def files(paths: list[Path], side: int | None = None) -> ImageData:
    index = torch.arange(len(paths))
    return image_files(paths, index, index, classes=len(paths), source="photographs", side=side)


def fetched(data: ImageData) -> Tensor:
    return data.fetch(torch.arange(len(data)))


def decoded(paths: list[Path]) -> list[NDArray[np.uint8]]:
    return [decode_file(path, rgb_pixels) for path in paths]


def pillow(paths: list[Path], view: Crop | None) -> Tensor | list[NDArray[np.uint8]]:
    """Return the images as they are, or after `view` as a tensor of (N, 3, H, W)."""
    pixels = []
    for path in paths:
        with Image.open(path) as image:
            rgb = image.convert("RGB")
            pixels.append(np.asarray(view(rgb) if view else rgb))
    return torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).contiguous() if view else pixels


def crop(image: Image.Image) -> Image.Image:
    frame = EvalTransform()
    width, height = int(frame.resize * image.width / image.height), frame.resize
    image = image.resize((width, height), Image.Resampling[frame.interpolation.upper()])
    left, top = round((width - frame.crop) / 2), round((height - frame.crop) / 2)
    return image.crop((left, top, left + frame.crop, top + frame.crop))


def torchvision(paths: list[Path], view: Crop | None) -> Call:
    io, transforms = (importlib.import_module(f"torchvision.{name}") for name in ("io", "transforms.v2"))
    frame = EvalTransform()
    resize = transforms.Compose(
        [transforms.Resize(frame.resize, antialias=True), transforms.CenterCrop(frame.crop)]
    )

    def read() -> list[Tensor]:
        images = [io.decode_jpeg(io.read_file(str(path))) for path in paths]
        return [resize(image) for image in images] if view is crop else images

    return (lambda: torch.stack(read())) if view else read
