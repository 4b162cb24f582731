"""Corruptions against the output of the official code for two images (all rounded down)."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from flatqat.data.corruptions import motion
from flatqat.data.corruptions.apply import corrupt
from flatqat.data.corruptions.constants import CONSTANTS
from flatqat.data.corruptions.names import NAMES, SEVERITIES

EXACT = ("contrast", "pixelate", "jpeg_compression")
FIXED = (*EXACT, "defocus_blur", "zoom_blur", "brightness", "gaussian_blur", "saturate")


def one(images: Tensor, name: str, severity: int) -> Tensor:
    return corrupt(images, torch.arange(len(images)), name=name, severity=severity, table="imagenet")


def reference(shared: Path, index: int, what: str) -> Tensor:
    image = Image.open(shared / "oracles" / "imagenet_c" / f"{index}_{what}.png")
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


@pytest.mark.parametrize("name", FIXED)
def test_fixed_corruptions_equal_the_reference(name: str, shared: Path) -> None:
    """To 0.2 levels on average: the reference's rounding errors take a level off some whole values."""
    for index, severity in product((0, 1), SEVERITIES):
        clean, expected = (reference(shared, index, what) for what in ("clean", f"{name}_{severity}"))
        difference = (one(clean[None], name, severity)[0].double() - expected).abs()
        assert float(difference.mean()) < (1e-9 if name in EXACT else 0.2)
        assert float(difference.max()) <= 1


@pytest.mark.parametrize("severity", SEVERITIES)
def test_motion_blur_equals_the_reference_at_its_angle(severity: int, shared: Path) -> None:
    """The angle is unknown: searched on a grid, then on finer ones around the best. To 0.01 levels on
    average, since the reference's floating point decides a few exact ties."""
    clean, expected = (reference(shared, 0, what)[None] for what in ("clean", f"motion_blur_{severity}"))
    constants, best, error = CONSTANTS["imagenet"]["motion_blur"][severity - 1], 0.0, 0.0
    for step, reach in ((2.0, 46.0), (0.2, 2.0), (0.02, 0.2), (0.005, 0.02)):
        angles = best + torch.arange(-reach, reach + step / 2, step)
        blurred = motion.streak(clean.expand(len(angles), -1, -1, -1), angles, *constants)
        errors = (blurred - expected).abs().mean((1, 2, 3))
        best, error = float(angles[errors.argmin()]), float(errors.min())
    assert error < 0.01
    assert abs(best) < 45.1


def statistics(difference: Tensor) -> Tensor:
    """(..., 6) of differences to the clean image (..., 3, H, W): mean, and logarithms of the standard
    deviation and of the power in four octaves and more of frequency."""
    gray = difference.mean(-3)
    power = torch.fft.fft2(gray - gray.mean((-1, -2), keepdim=True)).abs() ** 2
    frequency = torch.fft.fftfreq(gray.shape[-1])
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
        ours = statistics(one(clean.expand(12, -1, -1, -1), name, severity).float() - clean)
        theirs = statistics(reference(shared, index, f"{name}_{severity}").float() - clean)
        excess = (theirs - ours.mean(0)).abs() - 5 * ours.std(0) - slack
        assert float(excess.max()) <= 0, (severity, excess.tolist())
