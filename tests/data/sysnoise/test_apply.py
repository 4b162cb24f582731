"""Noise of files and of images in memory: what each changes, and that nothing else does."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from flatqat.data.images.encoded import Decode, to_rgb
from flatqat.data.images.views import EvalCrop, eval_crop
from flatqat.data.sysnoise.apply import from_files, in_memory
from flatqat.data.sysnoise.colors import round_trip
from flatqat.data.sysnoise.decoders import FAST
from flatqat.data.sysnoise.names import IN_MEMORY, NAMES, Family
from flatqat.data.tensors.image_data import ImageData
from flatqat.data.tensors.image_files import image_files
from flatqat.errors import DataError
from flatqat.spec import EvalTransform

FRAME = EvalTransform(resize=64, crop=48)
ALL = [(family, name) for family, names in NAMES.items() for name in names]


def picture(size: tuple[int, int] = (130, 99)) -> Image.Image:
    coarse = np.random.default_rng(6).integers(0, 256, (12, 16, 3), np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    picture().save(tmp_path / "photo.jpg", quality=90)
    return tmp_path / "photo.jpg"


def loader(path: Path) -> Callable[[Decode], ImageData]:
    zero = torch.zeros(1, dtype=torch.long)
    return lambda decode: image_files([path], zero, zero, classes=2, source="photo", decode=decode)


def seen(data: ImageData, frame: EvalTransform = FRAME) -> np.ndarray:
    return data.transformed(eval_crop(frame)).fetch(torch.tensor([0]))[0].permute(1, 2, 0).numpy()


def noisy(path: Path, family: Family, name: str, frame: EvalTransform = FRAME) -> np.ndarray:
    if family == "decoder":
        pytest.importorskip("simplejpeg", reason="the extra `fast` is not installed")
    return seen(from_files(loader(path), family, name), frame)


@pytest.mark.parametrize(("family", "name"), ALL, ids=str)
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_all_noise_is_some_and_little(path: Path, family: Family, name: str, interpolation: str) -> None:
    frame = replace(FRAME, interpolation=interpolation)
    clean, other = (
        pixels.astype(int) for pixels in (seen(loader(path)(to_rgb), frame), noisy(path, family, name, frame))
    )
    assert other.shape == clean.shape == (48, 48, 3)
    assert 0 < np.abs(other - clean).mean() < (30 if family in ("resize", "crop") else 4)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "lanczos"])
def test_the_models_own_filter_differs_by_rounding_alone(path: Path, interpolation: str) -> None:
    """Pillow also clips between the two directions, which only matters where a filter overshoots."""
    frame = replace(FRAME, interpolation=interpolation)
    clean, other = seen(loader(path)(to_rgb), frame).astype(int), noisy(path, "resize", interpolation, frame)
    assert np.median(np.abs(clean - other)) == 0
    assert np.quantile(np.abs(clean - other), 0.99) <= 1
    cut_off = noisy(path, "resize", "truncated", frame)
    assert set(np.unique(other.astype(int) - cut_off)) == {0, 1}


@pytest.mark.parametrize("name", FAST)
def test_decoders_do_what_simplejpeg_does(path: Path, name: str) -> None:
    simplejpeg = pytest.importorskip("simplejpeg", reason="the extra `fast` is not installed")
    dct, chroma = FAST[name]
    pixels = simplejpeg.decode_jpeg(path.read_bytes(), "RGB", fastdct=dct, fastupsample=chroma)
    assert (noisy(path, "decoder", name) == eval_crop(FRAME)(Image.fromarray(pixels), 0)).all()


@pytest.mark.parametrize("form", NAMES["color"])
def test_colors_change_before_the_size_does(path: Path, form: str) -> None:
    with Image.open(path) as image:
        stored = round_trip(np.asarray(image.convert("RGB")), form)
    assert (noisy(path, "color", form) == eval_crop(FRAME)(Image.fromarray(stored), 0)).all()


def test_crops_are_where_they_say(path: Path) -> None:
    """The short side of 99 becomes 64, and the long one of 130 84.04: 85, or 84 as in Pillow's crop."""
    with Image.open(path) as image:
        sizes = {name: image.convert("RGB").resize(size, Image.Resampling.BILINEAR) for name, size in
                 {"id": (84, 64), "longer": (85, 64), "larger": (85, 65)}.items()}  # fmt: skip
    corner = {"id": ("id", 18, 8), "longer": ("longer", 18, 8), "larger": ("larger", 18, 8),
              "up_left": ("id", 17, 7), "down_right": ("id", 19, 9)}  # fmt: skip
    for name, (size, left, top) in corner.items():
        expected = np.asarray(sizes[size])[top : top + 48, left : left + 48]
        found = seen(loader(path)(to_rgb)) if name == "id" else noisy(path, "crop", name)
        assert (found == expected).all(), name


def test_a_crop_without_room_stays_in_the_image() -> None:
    image, whole = picture((48, 48)), EvalCrop(frame=EvalTransform(resize=48, crop=48))
    for moved in (-1, 0, 1):
        assert (replace(whole, moved=moved)(image, 0) == np.asarray(image)).all()


def test_a_subset_has_the_noise_of_the_whole(path: Path) -> None:
    for family, name in (("resize", "nearest"), ("crop", "larger"), ("color", "nv12")):
        data = from_files(loader(path), family, name)
        assert (seen(data.subset(torch.tensor([0]))) == seen(data)).all()


@pytest.mark.parametrize("name", FAST)
def test_other_files_than_jpeg_are_decoded_as_ever(tmp_path: Path, name: str) -> None:
    for file, image in {"a.png": picture(), "gray.jpg": picture().convert("L")}.items():
        image.save(tmp_path / file)
        clean = seen(loader(tmp_path / file)(to_rgb))
        assert (noisy(tmp_path / file, "decoder", name) == clean).all()


@pytest.mark.parametrize(("family", "name"), [("decoder", "fast_dct"), ("resize", "box"), ("color", "nv12")])
def test_a_damaged_file_is_named(path: Path, family: Family, name: str) -> None:
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(DataError, match=r"photo\.jpg: expected an image"):
        noisy(path, family, name)


def test_label_maps_stay_and_colors_change() -> None:
    pixels = torch.from_numpy(np.random.default_rng(7).integers(0, 256, (2, 4, 24, 40), np.uint8))
    pixels[:, 3] %= 19
    data = ImageData.with_label_maps(pixels, classes=19, source="streets")
    for family in IN_MEMORY:
        for name in NAMES[family]:
            images, labels = in_memory(data, family, name).batch(torch.arange(2))
            assert (labels == pixels[:, 3]).all()
            assert images.shape == (2, 3, 24, 40)
            assert (255 * images - pixels[:, :3]).abs().mean() > 0.3, name


def test_in_memory_noise_is_that_of_each_image() -> None:
    pixels = torch.from_numpy(np.random.default_rng(8).integers(0, 256, (3, 3, 32, 32), np.uint8))
    data = ImageData.in_memory(pixels, torch.zeros(3, dtype=torch.long), classes=2, source="tiny")
    images, _ = in_memory(data, "color", "bt709").batch(torch.arange(3))
    expected = [round_trip(one.permute(1, 2, 0).numpy(), "bt709") for one in pixels]
    assert (255 * images).round().permute(0, 2, 3, 1).numpy() == pytest.approx(np.stack(expected))
