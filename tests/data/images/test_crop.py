"""Batched crops and flips against a loop over images, and their independence of the device."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from flatqat.data.images.crop import crop


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(count: int = 32, height: int = 9, width: int = 7) -> Tensor:
    return torch.rand(count, 3, height, width, generator=seeded(1))


def loop(x: Tensor, generator: torch.Generator, padding: int, flip: bool) -> Tensor:
    """The same draws, one image at a time, by slicing."""
    n, _, height, width = x.shape
    top = torch.randint(2 * padding + 1, (n, 1), generator=generator)
    left = torch.randint(2 * padding + 1, (n, 1), generator=generator)
    mirrored = torch.rand(n, 1, generator=generator) < 0.5 if flip else torch.zeros(n, 1).bool()
    out = []
    for image, t, le, m in zip(F.pad(x, (padding,) * 4), top, left, mirrored, strict=True):
        window = image[:, int(t) : int(t) + height, int(le) : int(le) + width]
        out.append(window.flip(2) if m else window)
    return torch.stack(out)


@pytest.mark.parametrize(("padding", "flip"), [(4, True), (2, False), (0, True), (0, False)])
def test_equals_a_loop_over_images(padding: int, flip: bool) -> None:
    x = pictures()
    got = crop(x, seeded(), padding=padding, flip=flip)
    assert torch.equal(got, loop(x, seeded(), padding, flip))
    assert got.shape == x.shape
    assert got.dtype == x.dtype


def test_without_padding_and_flip_nothing_changes() -> None:
    x = pictures()
    assert torch.equal(crop(x, seeded(), padding=0, flip=False), x)


def test_one_generator_gives_one_result_and_moves_on() -> None:
    x, generator = pictures(), seeded()
    first, second = (crop(x, generator, padding=2, flip=True) for _ in range(2))
    assert torch.equal(first, crop(x, seeded(), padding=2, flip=True))
    assert not torch.equal(first, second)


def test_the_global_generator_is_left_alone() -> None:
    before = torch.get_rng_state()
    crop(pictures(), seeded(), padding=2, flip=True)
    assert torch.equal(before, torch.get_rng_state())


def test_every_window_and_both_directions_come_up_evenly() -> None:
    """A ramp over the plane shows the window and the direction of each image."""
    n, padding = 20_000, 2
    ramp = (1 + torch.arange(7.0)[:, None] * 7 + torch.arange(7.0)).expand(n, 1, 7, 7)
    got = crop(ramp, seeded(), padding=padding, flip=True)
    center, right = got[:, 0, 3, 3], got[:, 0, 3, 4]
    counts = torch.stack([(center == value).sum() for value in ramp[0, 0, 1:6, 1:6].flatten()])
    # 25 windows, 800 each, standard deviation 28: five of them
    assert counts.sum() == n
    assert (counts - n / 25).abs().max() < 140
    assert abs(float((right < center).float().mean()) - 0.5) < 0.02


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_the_device_changes_nothing() -> None:
    x = pictures()
    there = crop(x.cuda(), seeded(), padding=4, flip=True)
    assert there.is_cuda
    assert torch.equal(there.cpu(), crop(x, seeded(), padding=4, flip=True))
