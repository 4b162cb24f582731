"""Motion blur along a random line, as ImageMagick computes it."""

from functools import lru_cache
from math import ceil

import torch
from torch import Tensor
from torch.nn import functional as F

from flatqat.data.corruptions._draw import Draw
from flatqat.data.corruptions._smooth import gaussian, snap
from flatqat.data.corruptions.constants import Constants


def motion_blur(images: Tensor, draw: Draw, constants: Constants) -> Tensor:
    """Blur along a line at -45 .. 45 degrees, uniformly. Constants: (radius, sigma), in pixels."""
    radius, sigma = constants
    return streak(images, draw.uniform("angle", low=-45.0, high=45.0), radius, sigma)


def streak(images: Tensor, degrees: Tensor, radius: float, sigma: float) -> Tensor:
    """Blur each of the uint8 images (B, C, H, W) along its own angle (B,), to whole gray levels in float32.

    The kernel is one half of a Gaussian, 2 radius + 1 taps long, from the pixel itself along the line; each
    tap reads one whole pixel and edge pixels repeat. Weights are multiples of 2^-16, so that sums are exact
    in float32. Levels are rounded down, as in the output of the reference code.
    """
    weights = _half_gaussian(radius, sigma)
    reach = len(weights) - 1
    # Angles that read the same pixels are processed together, which saves most calls at 32 pixels.
    offsets = _offsets(degrees, len(weights))
    patterns, pattern_of, counts = offsets.unique(dim=0, return_inverse=True, return_counts=True)
    order = pattern_of.argsort().to(images.device)
    padded = F.pad(images[order].float().contiguous(), (reach,) * 4, mode="replicate")
    blurred = torch.zeros(images.shape, device=images.device)
    groups = (x.split(counts.tolist()) for x in (padded, blurred))
    for pattern, source, total in zip(patterns.tolist(), *groups, strict=True):
        for weight, (dy, dx) in zip(weights, pattern, strict=True):
            # A slice, [..., reach + dy :, reach + dx :] cut to the image's size, in one call.
            start = source.storage_offset() + (reach + dy) * source.stride(2) + reach + dx
            total.add_(source.as_strided(total.shape, source.stride(), start), alpha=weight)
    return blurred.floor_()[order.argsort()]


def _offsets(degrees: Tensor, taps: int) -> Tensor:
    """Return how far down and to the right each tap reads, int64 (B, taps, 2), on the CPU."""
    angle = degrees.double().cpu().deg2rad()
    along = torch.stack([angle.sin(), angle.cos()], -1)[:, None] * torch.arange(taps)[:, None]
    return (along - 0.5).ceil().long()


@lru_cache
def _half_gaussian(radius: float, sigma: float) -> tuple[float, ...]:
    taps = 2 * ceil(radius) + 1
    half = gaussian(sigma, taps - 1)[taps - 1 :]
    weights = snap(half / half.sum(), 16)
    return tuple(weights[: int(weights.nonzero().max()) + 1].tolist())
