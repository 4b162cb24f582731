"""Color jitter against torchvision image by image, HSV against colorsys, the distribution of its draws."""

import colorsys

import pytest
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as theirs

from flatqat.data.images.color_jitter import CHANGES, color_jitter, jittered, random_gray

THEIRS = (theirs.adjust_brightness, theirs.adjust_contrast, theirs.adjust_saturation, theirs.adjust_hue)
# torchvision turns hue in float32, whose steps below 1 are 6e-8: a dozen operations of it
TOLERANCE = 2e-6

MODULE = "flatqat.data.images.color_jitter"


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(count: int = 24) -> Tensor:
    """Noise, and what has no hue or is at the ends: gray, black, white, pure colors, few levels."""
    x = torch.rand(count, 3, 7, 9, generator=seeded(1), dtype=torch.float64)
    x[0] = x[0, :1]
    x[1], x[2] = 0, 1
    x[3] = (x[3] * 4).round() / 4
    x[4], x[5], x[6] = torch.eye(3, dtype=torch.float64)[:, :, None, None]
    return x


def draws(count: int = 24) -> tuple[Tensor, Tensor]:
    factors = 0.7 + 0.6 * torch.rand(count, 4, generator=seeded(2), dtype=torch.float64)
    factors[:, 3] -= 1
    return factors, torch.rand(count, 4, generator=seeded(3)).argsort(1)


@pytest.mark.parametrize("number", range(4))
def test_each_change_is_torchvisions(number: int) -> None:
    x, (factors, _) = pictures(), draws()
    got = CHANGES[number](x, factors[:, number, None, None, None])
    expected = [THEIRS[number](a, f) for a, f in zip(x, factors[:, number].tolist(), strict=True)]
    # the first three differ by the order of additions alone
    assert (got - torch.stack(expected)).abs().max() < (TOLERANCE if number == 3 else 1e-15)


def test_all_four_in_the_order_of_each_image_are_torchvisions() -> None:
    x, (factors, order) = pictures(), draws()
    assert len({tuple(row) for row in order.tolist()}) > 10
    got = jittered(x, factors, order)
    for at, image in enumerate(x):
        for number in order[at].tolist():
            image = THEIRS[number](image, float(factors[at, number]))
        assert (got[at] - image).abs().max() < TOLERANCE


def test_hue_turns_by_colorsys() -> None:
    """In float64 throughout: a dozen operations of 1e-16."""
    x = pictures(8)
    turned = CHANGES[3](x, torch.full((8, 1, 1, 1), 0.23, dtype=torch.float64))
    before, after = (images.movedim(1, 3).reshape(-1, 3).tolist() for images in (x, turned))
    for rgb, got in zip(before, after, strict=True):
        h, s, v = colorsys.rgb_to_hsv(*rgb)
        assert got == pytest.approx(colorsys.hsv_to_rgb((h + 0.23) % 1, s, v), abs=1e-14)


def test_without_strength_nothing_changes() -> None:
    x = pictures().float()
    # there and back through HSV in float32
    assert (color_jitter(x, seeded(), strength=0.0) - x).abs().max() < 1e-6


def test_one_generator_gives_one_result_and_moves_on() -> None:
    x, generator = pictures().float(), seeded()
    first, second = (color_jitter(x, generator, strength=0.3) for _ in range(2))
    assert torch.equal(first, color_jitter(x, seeded(), strength=0.3))
    assert not torch.equal(first, second)
    assert 0 <= first.min() <= first.max() <= 1
    assert first.dtype == torch.float32


def test_the_images_of_the_caller_stay_as_they_are() -> None:
    x = pictures()
    color_jitter(x, seeded(), strength=0.3)
    random_gray(x, seeded(), share=0.5)
    assert torch.equal(x, pictures())


def test_the_global_generator_is_left_alone() -> None:
    before = torch.get_rng_state()
    random_gray(color_jitter(pictures(), seeded(), strength=0.3), seeded(), share=0.1)
    assert torch.equal(before, torch.get_rng_state())


def test_factors_are_uniform_and_orders_even(monkeypatch: pytest.MonkeyPatch) -> None:
    n, seen = 24_000, []
    monkeypatch.setattr(
        "flatqat.data.images.color_jitter.jittered", lambda x, f, order: seen.extend((f, order)) or x
    )
    color_jitter(torch.zeros(n, 3, 1, 1), seeded(), strength=0.3)
    factors, order = seen
    assert factors.amin(0).tolist() == pytest.approx([0.7, 0.7, 0.7, -0.3], abs=1e-3)
    assert factors.amax(0).tolist() == pytest.approx([1.3, 1.3, 1.3, 0.3], abs=1e-3)
    assert factors.mean(0).tolist() == pytest.approx([1, 1, 1, 0], abs=0.006)  # five standard errors
    assert (torch.corrcoef(factors.T) - torch.eye(4)).abs().max() < 0.04
    counts = torch.unique(order, dim=0, return_counts=True)[1]
    assert len(counts) == 24
    assert (counts - n / 24).abs().max() < 160  # 1,000 each, standard deviation 31: five of them


def test_hue_may_have_a_range_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Tensor] = []
    monkeypatch.setattr(f"{MODULE}.jittered", lambda x, f, order: seen.append(f) or x)
    for options in ({}, {"hue": 0.02}):
        color_jitter(torch.zeros(2000, 3, 1, 1), seeded(), strength=0.3, **options)
    alike, own = seen
    assert torch.equal(own[:, :3], alike[:, :3])
    torch.testing.assert_close(own[:, 3], alike[:, 3] * 0.02 / 0.3)
    assert 0.0195 < own[:, 3].max() <= 0.02


def test_a_tenth_turns_gray_as_in_torchvision() -> None:
    n = 20_000
    x = torch.rand(n, 3, 2, 2, generator=seeded())
    got = random_gray(x, seeded(), share=0.1)
    gray = (got - theirs.rgb_to_grayscale(x, num_output_channels=3)).abs().amax((1, 2, 3)) < 1e-6
    assert torch.equal(got[~gray], x[~gray])
    assert abs(float(gray.float().mean()) - 0.1) < 0.011  # five standard errors


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_the_device_changes_no_draw() -> None:
    x = pictures().float()
    there = random_gray(color_jitter(x.cuda(), seeded(), strength=0.3), seeded(), share=0.1)
    here = random_gray(color_jitter(x, seeded(), strength=0.3), seeded(), share=0.1)
    assert there.is_cuda
    assert (there.cpu() - here).abs().max() < 1e-5
