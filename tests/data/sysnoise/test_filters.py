"""Filters against Pillow and torch in floating point, which round nothing, OpenCV, and closed forms."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from flatqat.data.sysnoise.filters import BITS, FILTERS, taps
from flatqat.data.sysnoise.resample import resample, there_and_back

PHOTO = np.random.default_rng(3).integers(0, 256, (45, 61, 3), np.uint8)
SIZES = [(20, 33), (14, 17), (90, 75), (45, 30)]
ROUNDED = 0.5 + 0.01  # weights of 16 bits move a value by less than the hundredth

PILLOW = ("box", "bilinear", "hamming", "bicubic", "lanczos")
TORCH = {
    "nearest": {"mode": "nearest"},
    "bilinear": {"mode": "bilinear", "antialias": True},
    "bicubic": {"mode": "bicubic", "antialias": True},
    "bilinear_aliased": {"mode": "bilinear"},
    "bicubic_aliased": {"mode": "bicubic"},
}


def off(ours: np.ndarray, exact: np.ndarray) -> float:
    return float(np.abs(ours.astype(float) - exact.clip(0, 255)).max())


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", PILLOW)
def test_antialiased_filters_are_pillows_without_its_rounding(name: str, size: tuple[int, int]) -> None:
    resampling = Image.Resampling[name.upper()]
    planes = [Image.fromarray(PHOTO[..., c].astype(np.float32)) for c in range(3)]
    exact = np.dstack([np.asarray(plane.resize(size[::-1], resampling)) for plane in planes])
    assert off(resample(PHOTO, size, name), exact) < ROUNDED


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", TORCH)
def test_filters_are_torchs_without_rounding(name: str, size: tuple[int, int]) -> None:
    planes = torch.from_numpy(PHOTO).permute(2, 0, 1)[None].double()
    exact = F.interpolate(planes, size, **TORCH[name])[0].permute(1, 2, 0).numpy()
    assert off(resample(PHOTO, size, name), exact) < ROUNDED


@pytest.mark.parametrize("size", [(20, 33), (14, 17), (46, 62)], ids=str)
def test_area_is_the_mean_over_what_a_pixel_covers(size: tuple[int, int]) -> None:
    """Every pixel is split into as many as the new image has, and equal blocks of them are averaged."""
    photo = PHOTO[:23, :31]
    split = photo.astype(float).repeat(size[0], 0).repeat(size[1], 1)
    blocks = split.reshape(size[0], 23, size[1], 31, 3)
    assert off(resample(photo, size, "area"), blocks.mean((1, 3))) < ROUNDED


@pytest.mark.parametrize(
    "name", ["nearest", "area", "bilinear_aliased", "bicubic_aliased", "lanczos_aliased"]
)
def test_the_others_are_those_of_opencv(name: str) -> None:
    """Whose weights have 11 bits, so that levels may differ by one."""
    cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed")
    code = {"area": "AREA", "nearest": "NEAREST", "bilinear_aliased": "LINEAR", "bicubic_aliased": "CUBIC"}
    theirs = cv2.resize(PHOTO, (17, 14), interpolation=getattr(cv2, f"INTER_{code.get(name, 'LANCZOS4')}"))
    assert off(resample(PHOTO, (14, 17), name), theirs) <= 1


def test_lanczos_of_four_lobes_by_hand() -> None:
    """Halfway between pixels: eight weights of sinc(x) sinc(x / 4), which are brought to a sum of one."""
    x = np.array([-3.5, -2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 3.5])
    weights = np.sinc(x) * np.sinc(x / 4)
    places, whole = taps("lanczos_aliased", 32, 16)
    assert places[6].tolist() == list(range(9, 17))
    assert whole[6] / 2**BITS == pytest.approx(weights / weights.sum(), abs=2e-5)


@pytest.mark.parametrize("name", FILTERS)
def test_weights_sum_to_one_and_a_flat_image_stays(name: str) -> None:
    for old, new in ((45, 20), (61, 75), (3, 7), (500, 256), (7, 7)):
        places, whole = taps(name, old, new)
        assert (whole.sum(1) == 2**BITS).all()
        assert 0 <= places.min() <= places.max() < old
    flat = np.full((2, 9, 5, 3), 201, np.uint8)
    assert (there_and_back(flat, name) == 201).all()


def test_truncating_takes_the_fraction_off() -> None:
    planes = torch.from_numpy(PHOTO).permute(2, 0, 1)[None].double()
    exact = F.interpolate(planes, (20, 33), mode="bilinear", antialias=True)[0].permute(1, 2, 0).numpy()
    lost = exact - resample(PHOTO, (20, 33), "bilinear", truncated=True)
    assert lost.min() > -0.01
    assert lost.max() < 1.01
    assert lost.mean() == pytest.approx(0.5, abs=0.03)


def test_many_images_at_once_are_each_alone() -> None:
    many = np.random.default_rng(4).integers(0, 256, (3, 24, 18, 3), np.uint8)
    for name in FILTERS:
        together = there_and_back(many, name)
        assert together.shape == many.shape
        assert (together == np.stack([there_and_back(one, name) for one in many])).all()
        assert (resample(many, (24, 18), name) == many).all()
