"""Corruptions against closed forms, slower twins, and the reference code's output (all rounded down)."""

import colorsys
import io
import subprocess
import sys
from itertools import product
from math import ceil, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage
from torch import Tensor
from torch.nn import functional as F

from flatqat.data.corruptions import _drops, blur, glass
from flatqat.data.corruptions._draw import Draw, _hash
from flatqat.data.corruptions.apply import corrupt
from flatqat.data.corruptions.constants import CONSTANTS
from flatqat.data.corruptions.names import NAMES, SEVERITIES, Table
from flatqat.errors import UsageError

TABLES: tuple[Table, ...] = ("cifar", "imagenet")
CASES = list(product(TABLES, SEVERITIES))
EXACT = ("contrast", "pixelate", "jpeg_compression")
FIXED = (*EXACT, "defocus_blur", "zoom_blur", "brightness", "gaussian_blur", "saturate")
# The rest need not grow in this measure: elastic shifts less and bends more, frost dims the image under it,
# saturate first bleaches, spatter turns from water to mud, glass trades reach for rounds, snow flakes grow.
GROWING = {*FIXED, "gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise"} - {"saturate"}


def pictures(count: int, height: int = 32, width: int = 32) -> Tensor:
    """uint8 (count, 3, height, width): smooth patches of colour with a little noise, some of it saturated."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(count, 3, 6, 6, generator=generator) * 1.2 - 0.1
    smooth = F.interpolate(coarse, size=(height, width), mode="bicubic")
    noise = torch.randn(smooth.shape, generator=generator) * 0.03
    return ((smooth + noise).clamp(0, 1) * 255).byte()


def grey(level: int, count: int = 64) -> Tensor:
    return torch.full((count, 3, 32, 32), level, dtype=torch.uint8)


def one(images: Tensor, name: str, severity: int, table: Table = "cifar") -> Tensor:
    return corrupt(images, torch.arange(len(images)), name=name, severity=severity, table=table)


def tensor(image: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def test_names_come_without_torch() -> None:
    code = "import sys, flatqat.data.corruptions.names; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", NAMES)
def test_any_batch_any_order(name: str) -> None:
    """Bitwise the same alone, in a batch, and in one turned round; sizes on both sides of every shortcut."""
    for table, images in zip(TABLES, (pictures(4), pictures(4, 56, 64)), strict=True):
        before, ids = images.clone(), torch.tensor([7, 3, 100_000, 2**40])
        for severity in (2, 5):
            whole = corrupt(images, ids, name=name, severity=severity, table=table)
            turned = corrupt(images.flip(0), ids.flip(0), name=name, severity=severity, table=table)
            alone = corrupt(images[1:2], ids[1:2], name=name, severity=severity, table=table)
            assert (whole.dtype, whole.shape) == (torch.uint8, images.shape)
            assert torch.equal(turned.flip(0), whole)
            assert torch.equal(alone, whole[1:2])
        assert torch.equal(images, before)


@pytest.mark.parametrize("name", NAMES)
def test_ids_tables_and_severities_matter(name: str) -> None:
    first, second = one(pictures(1).expand(2, -1, -1, -1), name, 3)
    assert torch.equal(first, second) == (name in FIXED)
    images = pictures(16)
    results = {(table, s): one(images, name, s, table) for table, s in CASES}
    assert all(not torch.equal(images, result) for result in results.values())
    assert not torch.equal(results["cifar", 4], results["imagenet", 4])


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("name", sorted(GROWING))
def test_distortion_grows_with_severity(name: str, table: Table) -> None:
    images = pictures(24) if table == "cifar" else pictures(2, 224, 224)
    errors = [float((one(images, name, s, table).float() - images).abs().mean()) for s in SEVERITIES]
    assert errors == sorted(errors)


def test_bad_input() -> None:
    with pytest.raises(UsageError, match=r"unknown corruption 'gausian_blur'.*did you mean 'gaussian_blur'"):
        one(grey(0), "gausian_blur", 1)
    with pytest.raises(UsageError, match="from 1 to 5, got 6"):
        one(grey(0), "fog", 6)
    assert one(grey(0, 0), "fog", 1).shape == (0, 3, 32, 32)


def test_random_numbers() -> None:
    """Splitmix64's published first words from state 0; moments and correlations within five standard errors
    of 2^20 numbers: 0.005 for means and products, 0.007 for variances."""
    bits = Draw(torch.tensor([_hash("field")])).bits("field", 2)
    assert [word % 2**64 for word in bits[0].tolist()] == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4]
    draw = Draw.of(torch.arange(64), "x", 1)
    normal, other = draw.normal("a", 2**14), draw.normal("b", 2**14)
    assert (float(normal.mean()), float(normal.var())) == pytest.approx((0, 1), abs=0.007)
    assert abs(float((normal**4).mean()) - 3) < 5 * sqrt(96 / 2**20)
    for twin in (other, normal.roll(1, 0), normal.roll(1, 1), normal.roll(2**13, 1)):
        assert abs(float((normal * twin).mean())) < 0.005
    counts = draw.integers("c", 2**14, low=-2, high=2).add(2).flatten().bincount()
    assert counts.tolist() == pytest.approx([2**18] * 4, rel=0.01)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_noise_on_mid_grey(severity: int) -> None:
    """It hardly clips: std c, c / 2 for speckle, to 1% (five standard errors of 2e5 values)."""
    for name, share in (("gaussian_noise", 1.0), ("speckle_noise", 127 / 255)):
        noise = one(grey(127), name, severity).float() - 127
        (scale,) = CONSTANTS["cifar"][name][severity - 1]
        assert float(noise.std()) == pytest.approx(255 * scale * share, rel=0.01)
        assert float(noise.mean()) == pytest.approx(-0.5, abs=0.3)
    half = CONSTANTS["cifar"]["impulse_noise"][severity - 1][0] / 2
    noise = one(grey(127), "impulse_noise", severity)
    shares = [float((noise == level).double().mean()) for level in (0, 255)]
    assert shares == pytest.approx([half, half], abs=5 * sqrt(half / noise.numel()))


@pytest.mark.parametrize("level", [13, 127])
@pytest.mark.parametrize("severity", [2, 3, 4, 5])
def test_shot_noise_is_poisson(severity: int, level: int) -> None:
    """Mean and variance are the rate, to five standard errors; below 256, counts have levels of their own."""
    (photons,) = CONSTANTS["cifar"]["shot_noise"][severity - 1]
    counts = (one(grey(level), "shot_noise", severity).double() * photons / 255).ceil()
    rate = level / 255 * photons
    assert float(counts.mean()) == pytest.approx(rate, abs=5 * sqrt(rate / counts.numel()))
    assert float(counts.var()) == pytest.approx(rate, rel=5 * sqrt((2 + 1 / rate) / counts.numel()))
    assert int(one(grey(0), "shot_noise", severity).max()) == 0


@pytest.mark.parametrize(("table", "severity"), CASES)
def test_colours(table: Table, severity: int) -> None:
    """HSV by colorsys, in float64: at most one level off, where a value is whole but for its last bit."""
    images = torch.cat([pictures(1), grey(0, 1), grey(90, 1)])
    (lift,) = CONSTANTS[table]["brightness"][severity - 1]
    factor, shift = CONSTANTS[table]["saturate"][severity - 1]
    pixels = images.permute(0, 2, 3, 1).reshape(-1, 3).double() / 255
    hsv = [colorsys.rgb_to_hsv(*pixel) for pixel in pixels.tolist()]
    bright = [colorsys.hsv_to_rgb(h, s, min(v + lift, 1)) for h, s, v in hsv]
    strong = [colorsys.hsv_to_rgb(h, min(max(s * factor + shift, 0), 1), v) for h, s, v in hsv]
    for name, expected in (("brightness", bright), ("saturate", strong)):
        got = one(images, name, severity, table).permute(0, 2, 3, 1).reshape(-1, 3).double()
        assert float((got - (torch.tensor(expected) * 255 - 0.5)).abs().max()) <= 1


@pytest.mark.parametrize("size", [(32, 32), (40, 56)])
@pytest.mark.parametrize(("table", "severity"), CASES)
def test_codecs_equal_pillow(table: Table, severity: int, size: tuple[int, int]) -> None:
    images, box = pictures(1, *size), Image.Resampling.BOX
    original = Image.fromarray(images[0].permute(1, 2, 0).contiguous().numpy())
    (fraction,), (quality,) = (CONSTANTS[table][n][severity - 1] for n in ("pixelate", "jpeg_compression"))
    small = original.resize((int(size[1] * fraction), int(size[0] * fraction)), box)
    assert torch.equal(one(images, "pixelate", severity, table)[0], tensor(small.resize(size[::-1], box)))
    original.save(buffer := io.BytesIO(), "JPEG", quality=int(quality))
    assert torch.equal(one(images, "jpeg_compression", severity, table)[0], tensor(Image.open(buffer)))


@pytest.mark.parametrize("size", [(32, 32), (64, 64)])
@pytest.mark.parametrize(("table", "severity"), CASES)
def test_linear_filters_equal_numpy_and_scipy(table: Table, severity: int, size: tuple[int, int]) -> None:
    """To 0.1 levels beside the rounding down: weights are in steps of 2^-15 or finer."""
    x, constants = pictures(2, *size).double().numpy(), CONSTANTS[table]
    (sigma,), (factor,) = (constants[name][severity - 1] for name in ("gaussian_blur", "contrast"))
    kernel = blur.disk(*constants["defocus_blur"][severity - 1]).numpy()
    stop, step = constants["zoom_blur"][severity - 1]
    factors, mean = np.arange(1, stop, step), x.mean((2, 3), keepdims=True)
    expected = {
        "contrast": (x - mean) * factor + mean,
        "gaussian_blur": ndimage.gaussian_filter(x, (0, 0, sigma, sigma), mode="nearest", truncate=4),
        "defocus_blur": ndimage.correlate(x, kernel[None, None], mode="mirror"),
        "zoom_blur": (x + sum(scipy_zoom(x, f) for f in factors)) / (len(factors) + 1),
    }
    for name, value in expected.items():
        got = one(pictures(2, *size), name, severity, table).double().numpy()
        assert np.abs(got + 0.5 - value.clip(0, 255.5)).max() < 0.6, name


def scipy_zoom(x: Any, factor: float) -> Any:
    size, crop = x.shape[-1], ceil(x.shape[-1] / factor)
    middle = slice((size - crop) // 2, (size - crop) // 2 + crop)
    large = ndimage.zoom(x[..., middle, middle], (1, 1, factor, factor), order=1)
    trim = (large.shape[-1] - size) // 2
    return large[..., trim : trim + size, trim : trim + size]


@pytest.mark.parametrize("reach", [1, 4])
def test_glass_walk_equals_the_loop(reach: int) -> None:
    draw, held = Draw.of(torch.tensor([5]), "walk", 1), np.arange(24 * 24).reshape(24, 24)
    dy, dx = draw.integers("round", 2, 24 * 24, low=-reach, high=reach)[0].view(2, 24, 24).numpy()
    for row, column in product(range(24 - reach, reach, -1), repeat=2):
        held[row, column] = held[row + dy[row, column], column + dx[row, column]]
    assert glass._walk(draw, "round", reach, 24, 24).tolist() == held.flatten().tolist()


def test_distance_to_edges() -> None:
    """OpenCV's 5 x 5 mask is within 2% of Euclid's distance (Borgefors 1986)."""
    edges = Draw.of(torch.tensor([3]), "edges", 1).uniform("where", 1, 40, 48) < 0.003
    exact = ndimage.distance_transform_edt(~edges[0, 0].numpy()).clip(max=20)
    assert np.allclose(_drops._distance(edges)[0, 0], exact, rtol=0.02, atol=1e-5)


def test_elastic_maps_a_ramp_to_a_ramp() -> None:
    """The first severity for 32 pixels is affine; the borders, which mirror, are left out."""
    ramp = (torch.arange(32) * 7).byte().expand(8, 3, 32, 32)
    moved = one(ramp, "elastic_transform", 1)[:, 0, 8:24, 8:24].double()
    at = torch.cartesian_prod(torch.ones(1), torch.arange(16.0), torch.arange(16.0)).double()
    planes = at @ torch.linalg.lstsq(at, moved.flatten(1).T).solution
    assert float((planes.T - moved.flatten(1)).abs().max()) < 1


def reference(shared: Path, index: int, what: str) -> Tensor:
    return tensor(Image.open(shared / "oracles" / "imagenet_c" / f"{index}_{what}.png"))


@pytest.mark.parametrize("name", FIXED)
def test_fixed_corruptions_equal_the_reference(name: str, shared: Path) -> None:
    """To 0.2 levels on average: the reference's rounding errors take a level off some whole values."""
    for index, severity in product((0, 1), SEVERITIES):
        clean, expected = (reference(shared, index, what) for what in ("clean", f"{name}_{severity}"))
        difference = (one(clean[None], name, severity, "imagenet")[0].double() - expected).abs()
        assert float(difference.mean()) < (1e-9 if name in EXACT else 0.2)
        assert float(difference.max()) <= 1


def statistics(difference: Tensor) -> Tensor:
    """(..., 6) of differences to the clean image (..., 3, H, W): mean, and logarithms of the standard
    deviation and of the power in four octaves and more of frequency."""
    grey = difference.mean(-3)
    power = torch.fft.fft2(grey - grey.mean((-1, -2), keepdim=True)).abs() ** 2
    frequency = torch.fft.fftfreq(grey.shape[-1])
    radius = torch.hypot(frequency[:, None], frequency)
    bands = [power[..., (radius >= low) & (radius < 2.5 * low)].mean(-1) for low in (0.02, 0.05, 0.125, 0.3)]
    logs = torch.stack([difference.std((-1, -2, -3)), *bands], -1).log()
    return torch.cat([difference.mean((-1, -2, -3))[..., None], logs], -1)


@pytest.mark.parametrize("name", sorted({*NAMES} - {*FIXED}))
def test_random_corruptions_are_distributed_as_the_reference(name: str, shared: Path) -> None:
    """The reference's one draw among twelve of ours: within five of their standard deviations, and 3% (mean:
    0.3 levels) where these vanish. Frost, whose textures are made up: 0.3 in a logarithm, 2 levels."""
    slack = torch.tensor([2.0] + [0.3] * 5) if name == "frost" else torch.tensor([0.3] + [0.03] * 5)
    for index, severity in ((0, 1), (1, 2), (0, 3), (1, 4), (0, 5)):
        clean = reference(shared, index, "clean")
        ours = statistics(one(clean.expand(12, -1, -1, -1), name, severity, "imagenet").float() - clean)
        theirs = statistics(reference(shared, index, f"{name}_{severity}").float() - clean)
        excess = (theirs - ours.mean(0)).abs() - 5 * ours.std(0) - slack
        assert float(excess.max()) <= 0, (severity, excess.tolist())
