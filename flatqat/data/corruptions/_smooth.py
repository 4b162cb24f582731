"""Gaussian smoothing that no batch can change by a bit.

Narrow Gaussians are sums over taps, value by value in one order. Wide ones are matrix products, image by
image.
"""

from functools import lru_cache
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

Border = Literal["nearest", "reflect"]


def smooth(x: Tensor, sigma: float, *, border: Border = "nearest", truncate: float = 4.0) -> Tensor:
    """Filter the last two axes of (B, C, H, W) with a Gaussian of `sigma` pixels; float32.

    `nearest` repeats the edge pixel, `reflect` mirrors about the image's edge (abc|cba). The kernel ends at
    `truncate` sigmas; all as in scipy.ndimage.gaussian_filter.
    """
    radius = int(truncate * sigma + 0.5)
    if 4 * radius > min(x.shape[-2:]):
        (down, up), (left, right) = (_factors(n, sigma, border, radius) for n in x.shape[-2:])
        down, up, left, right = (m.to(x.device) for m in (down, up, left.T, right.T))
        return torch.stack([up @ (down @ image @ left) @ right for image in x.float()])
    weights = gaussian(sigma, radius)[radius:].tolist()
    for axis in (-1, -2):
        x = _taps(_extended(x.float(), radius, axis, border), weights, axis)
    return x


def snap(weights: Tensor, bits: int) -> Tensor:
    """Weights (..., n) in whole multiples of 2^-bits, each less than one step off.

    It is their running sums that are rounded, so that what should add up to 1 does so exactly.
    """
    sums = (weights * 2.0**bits).cumsum(-1).round_()
    return torch.diff(sums, prepend=torch.zeros_like(sums[..., :1])).mul_(2.0**-bits)


def gaussian(sigma: float, radius: int) -> Tensor:
    """float64 (2 radius + 1,), adding up to 1."""
    offsets = torch.arange(-radius, radius + 1, dtype=torch.float64)
    weights = (-0.5 * (offsets / max(sigma, 1e-9)) ** 2).exp()
    return weights / weights.sum()


def _taps(x: Tensor, weights: list[float], axis: int) -> Tensor:
    """A symmetric filter, `weights` from its middle on, along one axis of an image extended by its radius.

    By Horner's scheme, from the outermost pair of taps to the middle. Products and sums are calls of their
    own: fused, they might round in one way in the middle of a batch and in another at its end.
    """
    radius = len(weights) - 1
    size = x.shape[axis] - 2 * radius
    if radius == 0:
        return x
    total = x.narrow(axis, 0, size) + x.narrow(axis, 2 * radius, size)
    for i in range(radius - 1, 0, -1):
        total.mul_(weights[i + 1] / weights[i])
        total.add_(x.narrow(axis, radius - i, size)).add_(x.narrow(axis, radius + i, size))
    return total.mul_(weights[1] / weights[0]).add_(x.narrow(axis, radius, size)).mul_(weights[0])


def _extended(x: Tensor, radius: int, axis: int, border: Border) -> Tensor:
    if border == "nearest":
        sides = (radius, radius, 0, 0) if axis == -1 else (0, 0, radius, radius)
        return F.pad(x, sides, mode="replicate")
    before, after = x.narrow(axis, 0, radius), x.narrow(axis, x.shape[axis] - radius, radius)
    return torch.cat([before.flip(axis), x, after.flip(axis)], axis)


@lru_cache(maxsize=64)
def _factors(size: int, sigma: float, border: Border, radius: int) -> tuple[Tensor, Tensor]:
    """The smoothing of one axis as a product of float32 matrices: first (n, size), then (size, n).

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
    kept = values > values[0] / 2000
    return vh[kept].float(), (u[:, kept] * values[kept]).float()
