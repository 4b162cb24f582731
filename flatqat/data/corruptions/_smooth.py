"""Gaussian smoothing whose sums are exact, so that no order of summation can change a bit.

The weights are whole multiples of 2^-18. With inputs that are whole multiples of some step, and of 16 bits
at most, both passes fit in the 53 bits of a float64.
"""

from functools import lru_cache
from typing import Literal

import numpy as np
import torch
from torch import Tensor

Border = Literal["nearest", "reflect"]


def smooth(x: Tensor, sigma: float, *, border: Border = "nearest", truncate: float = 4.0) -> Tensor:
    """Filter the last two axes of (..., H, W) with a Gaussian of `sigma` pixels; float64.

    `nearest` repeats the edge pixel, `reflect` mirrors about the image's edge (abc|cba). The kernel ends at
    `truncate` sigmas; all as in scipy.ndimage.gaussian_filter, to 2^-18.
    """
    rows, columns = (
        _gaussian_matrix(n, sigma, border, truncate).to(x.device) for n in (x.shape[-2], x.shape[-1])
    )
    return rows @ (x.double() @ columns.T)


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


@lru_cache(maxsize=64)
def _gaussian_matrix(size: int, sigma: float, border: Border, truncate: float) -> Tensor:
    """float64 (size, size): row i holds the weights of output i."""
    radius = int(truncate * sigma + 0.5)
    source = np.arange(size)[:, None] + np.arange(-radius, radius + 1)
    if border == "nearest":
        source = source.clip(0, size - 1)
    else:
        source %= 2 * size
        source = np.minimum(source, 2 * size - 1 - source)
    matrix = torch.zeros(size, size, dtype=torch.float64)
    weights = gaussian(sigma, radius).expand(size, -1)
    return snap(matrix.scatter_add_(1, torch.from_numpy(source), weights), 18)
