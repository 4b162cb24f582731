"""Corruptions against closed forms and slower twins (all rounded down)."""

import colorsys
import io
import subprocess
import sys
from itertools import product
from math import ceil, exp, sqrt
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage, stats
from torch import Tensor
from torch.nn import functional as F

from flatqat.data.corruptions import _drops, _ice, blur, elastic, frost, glass, noise, pixelate
from flatqat.data.corruptions._draw import Draw
from flatqat.data.corruptions._smooth import smooth
from flatqat.data.corruptions.apply import corrupt, distort
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
    """uint8 (count, 3, height, width): smooth patches of color with a little noise, some of it saturated."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(count, 3, 6, 6, generator=generator) * 1.2 - 0.1
    smooth = F.interpolate(coarse, size=(height, width), mode="bicubic")
    noise = torch.randn(smooth.shape, generator=generator) * 0.03
    return ((smooth + noise).clamp(0, 1) * 255).byte()


def gray(level: int, count: int = 64) -> Tensor:
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
        one(gray(0), "gausian_blur", 1)
    with pytest.raises(UsageError, match="unknown corruption 'jpeg_compression': expected"):
        one(gray(0), "jpeg_compression", 1, "digits")
    with pytest.raises(UsageError, match="from 1 to 5, got 6"):
        one(gray(0), "fog", 6)
    assert one(gray(0, 0), "fog", 1).shape == (0, 3, 32, 32)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_noise_on_mid_gray(severity: int) -> None:
    """It hardly clips: std c, c / 2 for speckle, to 1% (five standard errors of 2e5 values)."""
    for name, share in (("gaussian_noise", 1.0), ("speckle_noise", 127 / 255)):
        noise = one(gray(127), name, severity).float() - 127
        (scale,) = CONSTANTS["cifar"][name][severity - 1]
        assert float(noise.std()) == pytest.approx(255 * scale * share, rel=0.01)
        assert float(noise.mean()) == pytest.approx(-0.5, abs=0.3)
    half = CONSTANTS["cifar"]["impulse_noise"][severity - 1][0] / 2
    noise = one(gray(127), "impulse_noise", severity)
    shares = [float((noise == level).double().mean()) for level in (0, 255)]
    assert shares == pytest.approx([half, half], abs=5 * sqrt(half / noise.numel()))


@pytest.mark.parametrize("level", [13, 127])
@pytest.mark.parametrize("severity", [2, 3, 4, 5])
def test_shot_noise_is_poisson(severity: int, level: int) -> None:
    """Mean and variance are the rate, to five standard errors; below 256, counts have levels of their own."""
    (photons,) = CONSTANTS["cifar"]["shot_noise"][severity - 1]
    counts = (one(gray(level), "shot_noise", severity).double() * photons / 255).ceil()
    rate = level / 255 * photons
    assert float(counts.mean()) == pytest.approx(rate, abs=5 * sqrt(rate / counts.numel()))
    assert float(counts.var()) == pytest.approx(rate, rel=5 * sqrt((2 + 1 / rate) / counts.numel()))
    assert int(one(gray(0), "shot_noise", severity).max()) == 0


@pytest.mark.parametrize("photons", [3, 60, 500])
def test_shot_noise_by_all_its_draws(photons: int) -> None:
    """Over all 2^16 draws, a count comes up as often as the Poisson distribution has it, to one draw: as much
    as rounding its two thresholds makes."""
    leaf_of, leaves = noise._poisson_tables(photons)
    at = leaf_of.view(256, -1, 1) + torch.arange(2**16 // leaf_of.view(256, -1).shape[1])
    for level in (1, 20, 128, 255):
        drawn = leaves[at[level].flatten().long()].long().bincount(minlength=256).numpy()
        share = stats.poisson.pmf(np.arange(photons), level / 255 * photons) * 2**16
        expected = np.bincount((np.arange(photons) / photons * 255).astype(int), share, minlength=256)
        per_level = np.bincount((np.arange(photons) / photons * 255).astype(int), minlength=256)
        assert np.all(np.abs(drawn - expected)[:255] <= np.maximum(per_level, 1)[:255])


@pytest.mark.parametrize(("table", "severity"), CASES)
def test_colors(table: Table, severity: int) -> None:
    """HSV by colorsys, in float64: at most one level off, where a value is whole but for its last bit."""
    images = torch.cat([pictures(1), gray(0, 1), gray(90, 1)])
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


@pytest.mark.parametrize("fraction", [0.97, 0.61, 0.34, 0.2, 0.13, 0.07, 0.02])
def test_pixelate_equals_pillow_in_boxes_of_any_size(fraction: float) -> None:
    """Of 1 to 50 pixels a side, on noise and on halves that are rounded up or, in some boxes, down."""
    noise = torch.randint(256, (2, 3, 160, 96), generator=torch.Generator().manual_seed(0)).byte()
    halves = torch.cat([noise, (torch.arange(160 * 96) % 2).byte().view(160, 96).expand(1, 3, -1, -1)])
    ids = torch.arange(3)
    ours = distort(halves, ids, name="pixelate", severity=1, constants=(fraction,))
    size, box = (int(96 * fraction), int(160 * fraction)), Image.Resampling.BOX
    for image, got in zip(halves, ours, strict=True):
        small = Image.fromarray(image.permute(1, 2, 0).contiguous().numpy()).resize(size, box)
        assert torch.equal(got, tensor(small.resize((96, 160), box)))


def test_means_of_boxes_equal_fixed_point() -> None:
    for count in (2, 3, 6, 10, 127, 128, 200, 257):
        total = np.arange(255 * count + 1)
        expected = (total * int(2**22 / count + 0.5) + 2**21) >> 22
        stored = total.astype(np.uint16 if count < 128 else np.uint32)
        assert np.array_equal(pixelate._mean(stored, count), expected), count


@pytest.mark.parametrize("size", [(32, 32), (64, 64)])
@pytest.mark.parametrize(("table", "severity"), CASES)
def test_linear_filters_equal_numpy_and_scipy(table: Table, severity: int, size: tuple[int, int]) -> None:
    """To 0.01 levels beside the rounding down: weights are in steps of 2^-16 or finer; wide Gaussians lack
    the singular values under 1/2000 of the largest."""
    x, constants = pictures(2, *size).double().numpy(), CONSTANTS[table]
    (sigma,), (factor,) = (constants[name][severity - 1] for name in ("gaussian_blur", "contrast"))
    kernel = plain_disk(*constants["defocus_blur"][severity - 1])
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
        assert np.abs(got + 0.5 - value.clip(0, 255.5)).max() < 0.51, name


def plain_disk(radius: float, sigma: float) -> Any:
    """The disk on a grid of 17 x 17 or more, softened by 3 x 3 or, beyond radius 8, 5 x 5 Gaussian taps; the
    grid mirrors about its edge."""
    reach, soft = (8, 1) if radius <= 8 else (int(radius), 2)
    side, taps = range(-reach, reach + 1), range(-soft, soft + 1)

    def inside(y: int, x: int) -> bool:
        y, x = (min(abs(i), 2 * reach - abs(i)) for i in (y, x))
        return y * y + x * x <= radius * radius

    weights = {(i, j): exp(-(i * i + j * j) / (2 * sigma * sigma)) for i, j in product(taps, taps)}
    total = sum(weights.values()) * sum(inside(y, x) for y, x in product(side, side))
    softened = [
        sum(w * inside(y + i, x + j) for (i, j), w in weights.items()) for y, x in product(side, side)
    ]
    return np.reshape(softened, (len(side), len(side))) / total


@pytest.mark.parametrize(("table", "severity"), CASES)
def test_light_through_the_disk(table: Table, severity: int) -> None:
    """It is kept, but for radii that fill the grid, which gain the light of the mirrored edge pixels."""
    radius, sigma = CONSTANTS[table]["defocus_blur"][severity - 1]
    gain = {8.0: 0.013, 10.0: 0.011}.get(radius)
    total = float(blur.disk(radius, sigma).sum())
    assert total == (pytest.approx(1 + gain, abs=5e-4) if gain else pytest.approx(1, abs=1e-9))


def test_small_disks() -> None:
    """One pixel under a Gaussian, exp(-1 / 0.32) = 0.0439369 beside its middle; five pixels; and nine."""
    side, middle = 0.0439369 / 1.0878739, 1 / 1.0878739
    row = torch.tensor([side, middle, side], dtype=torch.float64)
    assert torch.allclose(blur.disk(0.3, 0.4), row[:, None] * row, rtol=0, atol=1e-7)
    plus = torch.tensor([[0, 0.2, 0], [0.2, 0.2, 0.2], [0, 0.2, 0]], dtype=torch.float64)
    assert torch.allclose(blur.disk(1, 0.2)[1:-1, 1:-1], plus, rtol=0, atol=1e-5)
    assert torch.allclose(blur.disk(1.5, 0.1), torch.full((3, 3), 1 / 9, dtype=torch.float64), rtol=1e-9)


def scipy_zoom(x: Any, factor: float) -> Any:
    size, crop = x.shape[-1], ceil(x.shape[-1] / factor)
    middle = slice((size - crop) // 2, (size - crop) // 2 + crop)
    large = ndimage.zoom(x[..., middle, middle], (1, 1, factor, factor), order=1)
    trim = (large.shape[-1] - size) // 2
    return large[..., trim : trim + size, trim : trim + size]


@pytest.mark.parametrize("sigma", [170.8, 19.52, 2.44])
def test_smoothed_noise_equals_scipy(sigma: float) -> None:
    """The displacements of elastic_transform, to a twentieth of a pixel where they differ most: they lack the
    singular values under 1/2000 of the largest."""
    noise = Draw.of(torch.tensor([2]), "noise", 1).uniform("x", 1, 224, 224, low=-1)
    exact = ndimage.gaussian_filter(noise[0, 0].double().numpy(), sigma, mode="reflect", truncate=3)
    ours = smooth(noise, sigma, border="reflect", truncate=3.0)[0, 0].numpy()
    assert np.abs(ours - exact).max() * 488 < 0.05


def test_elastic_moves_three_points_to_where_they_were_drawn() -> None:
    """The inverse map takes them back, to 1/32 of a pixel and the 3/1024 of its rounded parts."""
    draw, shift = Draw.of(torch.arange(8), "elastic", 1), 20.0
    moves = draw.uniform("corners", 3, 2, low=-shift, high=shift).double()
    for i, (cx, cy) in enumerate(((186, 186), (186, 38), (38, 38))):
        for draw_of_one, (dx, dy) in zip(draw.keys.split(1), moves[:, i].tolist(), strict=True):
            # Of the map's 224 columns and rows, the ones nearest to the moved point, shifted onto it.
            x = torch.arange(224.0, dtype=torch.float64) - 112 + cx + dx
            y = torch.arange(224.0, dtype=torch.float64) - 112 + cy + dy
            back = elastic._affine_source(Draw(draw_of_one), x, y, shift)
            assert [float(b[0, 112, 112]) for b in back] == pytest.approx([cx, cy], abs=1 / 64 + 3 / 1024)


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
    assert np.allclose(_drops._distance(-edges.to(torch.int8))[0, 0], exact, rtol=0.02, atol=1e-5)


def test_elastic_maps_a_ramp_to_a_ramp() -> None:
    """The first severity for 32 pixels is affine; the borders, which mirror, are left out."""
    ramp = (torch.arange(32) * 7).byte().expand(8, 3, 32, 32)
    moved = one(ramp, "elastic_transform", 1)[:, 0, 8:24, 8:24].double()
    at = torch.cartesian_prod(torch.ones(1), torch.arange(16.0), torch.arange(16.0)).double()
    planes = at @ torch.linalg.lstsq(at, moved.flatten(1).T).solution
    assert float((planes.T - moved.flatten(1)).abs().max()) < 1


def test_textures_of_ice_have_their_means_and_deviations() -> None:
    """To 0.05 levels, beside rounding down, and to 1%: the lightest are cut off at 255."""
    textures = frost._pictures((), 1, torch.device("cpu"))  # kept from other tests, as it takes a second
    for texture, ice in zip(textures, _ice._KINDS, strict=True):
        values = texture.double().flatten(1)
        assert (values.mean(1) + 0.5).tolist() == pytest.approx(ice.mean, abs=0.05)
        assert values.std(1).tolist() == pytest.approx(ice.std, rel=0.01)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_fog_equals_a_loop_over_squares_and_diamonds(severity: int) -> None:
    """(x + 255 a p) m / (m + 255 a), p grown from one corner, to 0.01 levels."""
    images, (amount, decay) = pictures(2, 24, 32) // 2 + 20, CONSTANTS["cifar"]["fog"][severity - 1]
    got = one(images, "fog", severity).double().numpy()
    for i, x in enumerate(images.double().numpy()):
        haze = plain_plasma(Draw.of(torch.tensor([i]), "fog", severity), 32, decay)[:24] * 255 * amount
        expected = (x + haze) * x.max() / (x.max() + 255 * amount)
        assert np.abs(got[i] + 0.5 - expected).max() < 0.51


def plain_plasma(draw: Draw, size: int, decay: float) -> Any:
    heights, step, wibble = np.zeros((size, size)), size, 100.0

    def mean(y: int, x: int, *around: tuple[int, int]) -> Any:
        return np.mean([heights[(y + dy) % size, (x + dx) % size] for dy, dx in around])

    while step > 1:
        half, count = step // 2, size // step
        noise = draw.uniform(f"grid {count}", 3, count, count, low=-(wibble**2), high=wibble**2)[0].tolist()
        cells = [(i, j, i * step, j * step) for i, j in product(range(count), repeat=2)]
        square = [(-half, -half), (-half, half), (half, -half), (half, half)]
        diamond = [(-half, 0), (half, 0), (0, -half), (0, half)]
        for i, j, y, x in cells:
            heights[y + half, x + half] = mean(y + half, x + half, *square) + noise[0][i][j]
        for i, j, y, x in cells:
            heights[y, x + half] = mean(y, x + half, *diamond) + noise[1][i][j]
            heights[y + half, x] = mean(y + half, x, *diamond) + noise[2][i][j]
        step, wibble = half, wibble / decay
    return (heights - heights.min()) / (heights.max() - heights.min())


def test_snow_falls_within_45_degrees_of_the_vertical() -> None:
    """On black, levels correlate with those up to two rows below, as far aside at most, and with no others.
    Flakes are single pixels at this severity; borders, which repeat edge pixels, are left out."""
    fallen = one(torch.zeros(64, 3, 96, 96, dtype=torch.uint8), "snow", 2)[:, 0].double()
    levels = fallen - fallen[:, 24:-24, 24:-24].mean()

    def correlation(dy: int, dx: int) -> float:
        moved = levels.roll((-dy, -dx), (1, 2))
        product_, square = ((levels * x)[:, 24:-24, 24:-24].mean() for x in (moved, levels))
        return float(product_ / square)

    for dy, dx in product((1, 2), range(-4, 5)):
        if abs(dx) <= dy:
            assert correlation(dy, dx) > 0.05, (dy, dx)
        else:
            assert abs(correlation(dy, dx)) < 0.02, (dy, dx)
    assert correlation(0, 1) < 0.1 < 0.4 < correlation(1, 0)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_motion_smears_a_point_to_the_left_within_45_degrees(severity: int) -> None:
    """The point keeps the share of the first tap of half a Gaussian; each tap is rounded down."""
    radius, sigma = CONSTANTS["cifar"]["motion_blur"][severity - 1]
    point = torch.zeros(256, 3, 65, 65, dtype=torch.uint8)
    point[..., 32, 32] = 255
    smeared = one(point, "motion_blur", severity)[:, 0]
    _, row, column = smeared.nonzero(as_tuple=True)
    assert bool(((row - 32).abs() <= 32 - column).all())
    total = sum(exp(-(i**2) / (2 * sigma**2)) for i in range(2 * int(radius) + 1))
    assert smeared[:, 32, 32].unique().tolist() == [int(255 / total)]
    assert int(smeared.sum((1, 2), dtype=torch.int64).min()) > 255 - (2 * radius + 1)


def test_angles_of_motion_are_uniform() -> None:
    """The middle of a smeared point is at -45 to 45 degrees; a quartile has a standard error of 2 to 3."""
    point = torch.zeros(256, 3, 65, 65, dtype=torch.uint8)
    point[..., 32, 32] = 255
    smeared = one(point, "motion_blur", 5)[:, 0].double()
    along = torch.arange(65.0, dtype=torch.float64) - 32
    down, left = (smeared.sum(2) * along).sum(1), -(smeared.sum(1) * along).sum(1)
    quartiles = torch.atan2(down, left).rad2deg().quantile(torch.linspace(0, 1, 5, dtype=torch.float64))
    assert quartiles[1:4].tolist() == pytest.approx([-22.5, 0, 22.5], abs=8)
    assert quartiles[[0, 4]].tolist() == pytest.approx([-45, 45], abs=4)
