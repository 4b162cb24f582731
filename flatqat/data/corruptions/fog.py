"""Fog: a plasma fractal is added to the image."""

import torch
from torch import Tensor

from flatqat.data.corruptions._draw import Draw
from flatqat.data.corruptions.constants import Constants


def fog(images: Tensor, draw: Draw, constants: Constants) -> Tensor:
    """Return (x + a p) m / (m + a), p a plasma fractal, m the image's maximum. Constants: (a, decay)."""
    amount, decay = constants
    height, width = images.shape[2:]
    size = 1 << (max(height, width) - 1).bit_length()
    haze = plasma(draw, size, decay)[:, None, :height, :width] * (255 * amount)
    peak = images.flatten(1).amax(1).float().view(-1, 1, 1, 1)
    return images.float().add_(haze).mul_(peak / (peak + 255 * amount))


def plasma(draw: Draw, size: int, decay: float) -> Tensor:
    """Return plasma fractals, float32 (B, size, size) on [0, 1], periodic; `size` is a power of two.

    They are made by the diamond-square algorithm. Each step halves the grid and adds uniform noise of
    amplitude w^2, and w falls by `decay`: the original multiplies by w twice, and the benchmark's fog is made
    that way.
    """
    corners, amplitude = torch.zeros(len(draw.keys), 1, 1, device=draw.keys.device), 100.0
    while (n := corners.shape[1]) < size:
        noise = draw.uniform(f"grid {n}", 3, n, n, low=-(amplitude**2), high=amplitude**2)
        centers, beside, above = noise.unbind(1)
        down, right = corners + corners.roll(-1, 1), corners + corners.roll(-1, 2)
        centers += (down + down.roll(-1, 2)) / 4
        beside += (centers + centers.roll(1, 1) + right) / 4
        above += (centers + centers.roll(1, 2) + down) / 4
        heights = torch.empty(len(corners), 2 * n, 2 * n, device=corners.device)
        heights[:, ::2, ::2], heights[:, 1::2, 1::2] = corners, centers
        heights[:, ::2, 1::2], heights[:, 1::2, ::2] = beside, above
        corners, amplitude = heights, amplitude / decay
    corners -= corners.amin((1, 2), keepdim=True)
    return corners / corners.amax((1, 2), keepdim=True)
