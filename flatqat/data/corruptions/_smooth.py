"""Gaussian smoothing, the same to the bit in any batch: sums over taps, or matrix products if it is wide."""

from functools import lru_cache
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from flatqat.data.corruptions._filter import rows_correlated

Border = Literal["nearest", "reflect"]


def smooth(x: Tensor, sigma: float, *, border: Border = "nearest", truncate: float = 4.0) -> Tensor:
    """Filter the last two axes of (B, C, H, W) with a Gaussian of `sigma` pixels, in float32.

    All arguments mean the same as in scipy.ndimage.gaussian_filter: `nearest` repeats the edge pixel,
    `reflect` mirrors about the image's edge (abc|cba), and the kernel ends at `truncate` sigmas.
    """
    radius = int(truncate * sigma + 0.5)
    if 4 * radius > min(x.shape[-2:]):
        (down, up), (left, right) = (_factors(n, sigma, border, radius) for n in x.shape[-2:])
        down, up, left, right = (m.to(x.device) for m in (down, up, left.T, right.T))
        return torch.stack([up @ (down @ image @ left) @ right for image in x.float()])
    if radius == 0:
        return x.float()
    x, weights = x.float(), gaussian(sigma, radius)
    for _ in ("rows", "columns"):
        x = rows_correlated(_extended(x, radius, border), weights).transpose(2, 3)
    return x.contiguous()


def snap(weights: Tensor, bits: int) -> Tensor:
    """Return weights (..., n) in whole multiples of 2^-bits, each less than one step off.

    Running sums are rounded, so weights that should add up to 1 do so exactly.
    """
    sums = (weights * 2.0**bits).cumsum(-1).round_()
    return torch.diff(sums, prepend=torch.zeros_like(sums[..., :1])).mul_(2.0**-bits)


def gaussian(sigma: float, radius: int) -> Tensor:
    """Return the weights of a Gaussian, float64 (2 radius + 1,), which add up to 1."""
    offsets = torch.arange(-radius, radius + 1, dtype=torch.float64)
    weights = (-0.5 * (offsets / max(sigma, 1e-9)) ** 2).exp()
    return weights / weights.sum()


def _extended(x: Tensor, radius: int, border: Border) -> Tensor:
    """Return longer rows."""
    if border == "nearest":
        return F.pad(x, (radius, radius, 0, 0), mode="replicate")
    return torch.cat([x[..., :radius].flip(-1), x, x[..., -radius:].flip(-1)], -1)


@lru_cache(maxsize=64)
def _factors(size: int, sigma: float, border: Border, radius: int) -> tuple[Tensor, Tensor]:
    """Return the smoothing of one axis as two float32 matrices (n, size) and (size, n) to be multiplied.

    A wide Gaussian keeps little of its input: n is the number of singular values above 1/2000 of the largest.
    """
    source = np.arange(size)[:, None] + np.arange(-radius, radius + 1)
    if border == "nearest":
        source = source.clip(0, size - 1)
    else:
        source %= 2 * size
        source = np.minimum(source, 2 * size - 1 - source)
    matrix = torch.zeros(size, size, dtype=torch.float64)
    matrix.scatter_add_(1, torch.from_numpy(source), gaussian(sigma, radius).expand(size, -1))
    u, values, vh = torch.linalg.svd(matrix)
    large = values > values[0] / 2000
    return vh[large].float(), (u[:, large] * values[large]).float()
