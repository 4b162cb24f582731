"""Reading images.

A JPEG of 500 x 375 pixels is decoded, resized to 256 and cropped to 224, into a tensor, on the path that
evaluation takes: in images a second of one core, beside plain Pillow, which gives the same bytes. Those of
torchvision's own decoder are others.
"""

import importlib
import io
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from flatqat.data.images.views import eval_crop
from flatqat.data.tensors.image_files import image_files
from flatqat.spec import EvalTransform
from perf.rounds import Call, Row, built, row, turns

COUNT, SIZE, QUALITY = 32, (500, 375), 90


def rows(rounds: int) -> list[Row]:
    with photographs() as paths:
        calls = {"flatqat": flatqat(paths), "Pillow": lambda: pillow(paths)}
        if not torch.equal(calls["flatqat"](), calls["Pillow"]()):
            raise AssertionError("expected the bytes of Pillow from the product's path, got others")
        others, absent = built({"torchvision, other bytes": lambda: torchvision(paths)})
        times = turns({**calls, **others}, rounds)
    title, ours, unit = "images a second, flatqat / Pillow", "flatqat", "Pillow"
    beside = {"peers": list(others), "absent": absent}
    return [row(title, times, ours, unit, **beside, speed=True, goal="≥ 1.4")]


@contextmanager
def photographs() -> Iterator[list[Path]]:
    """Yield files cut from a photograph that scikit-learn ships."""
    from sklearn.datasets import load_sample_image

    whole = load_sample_image("china.jpg")  # (427, 640, 3)
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for at in range(COUNT):
            top, left = at % 50, at * 4 % 140
            cut = np.roll(whole[top : top + SIZE[1], left : left + SIZE[0]], at, axis=2)
            paths.append(Path(folder) / f"{at}.jpg")
            Image.fromarray(cut).save(paths[-1], quality=QUALITY)
        yield paths


def flatqat(paths: list[Path]) -> Call:
    index = torch.arange(len(paths))
    data = image_files(paths, index, index, classes=len(paths), source="photographs")
    data = data.transformed(eval_crop(EvalTransform()))
    return lambda: data.fetch(index)


def pillow(paths: list[Path]) -> torch.Tensor:
    frame = EvalTransform()
    pixels = []
    for path in paths:
        image = Image.open(io.BytesIO(path.read_bytes())).convert("RGB")
        width, height = int(frame.resize * image.width / image.height), frame.resize
        image = image.resize((width, height), Image.Resampling[frame.interpolation.upper()])
        left, top = round((width - frame.crop) / 2), round((height - frame.crop) / 2)
        pixels.append(np.asarray(image.crop((left, top, left + frame.crop, top + frame.crop))))
    return torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).contiguous()


def torchvision(paths: list[Path]) -> Call:
    io_, transforms = (importlib.import_module(f"torchvision.{name}") for name in ("io", "transforms.v2"))
    frame = EvalTransform()
    view = transforms.Compose(
        [transforms.Resize(frame.resize, antialias=True), transforms.CenterCrop(frame.crop)]
    )
    return lambda: torch.stack([view(io_.decode_jpeg(io_.read_file(str(path)))) for path in paths])
