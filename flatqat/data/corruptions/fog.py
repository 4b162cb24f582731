"""Fog: a plasma fractal added to the image."""

import torch
from torch import Tensor

from flatqat.data.corruptions._draw import Draw
from flatqat.data.corruptions.constants import Constants


def fog(images: Tensor, draw: Draw, constants: Constants) -> Tensor:
    """(x + a p) m / (m + a) with p a plasma fractal and m the image's maximum. Constants: (a, decay)."""
    amount, decay = constants
    height, width = images.shape[2:]
    size = 1 << (max(height, width) - 1).bit_length()
    haze = 255 * amount * plasma(draw, size, decay)[:, None, :height, :width]
    peak = images.flatten(1).amax(1).float().view(-1, 1, 1, 1)
    return (images.float() + haze) * (peak / (peak + 255 * amount))


def plasma(draw: Draw, size: int, decay: float) -> Tensor:
    """float32 (B, size, size) on [0, 1], periodic, by the diamond-square algorithm; `size` a power of two.

    Each step halves the grid and adds uniform noise of amplitude w^2, and w falls by `decay`: the original
    multiplies by w twice, and the benchmark's fog is made that way.
    """
    heights = torch.zeros(len(draw.keys), size, size, device=draw.keys.device)
    step, amplitude = size, 100.0

    def mean(total: Tensor, field: str) -> Tensor:
        noise = draw.uniform(f"{field} {step}", *total.shape[1:], low=-(amplitude**2), high=amplitude**2)
        return noise.add_(total, alpha=0.25)

    while step >= 2:
        half = step // 2
        corners = heights[:, ::step, ::step]
        square = corners + corners.roll(-1, 1)
        square = square + square.roll(-1, 2)
        centres = mean(square, "centre")
        heights[:, half::step, half::step] = centres
        beside = centres + centres.roll(1, 1) + corners + corners.roll(-1, 2)
        above = centres + centres.roll(1, 2) + corners + corners.roll(-1, 1)
        heights[:, ::step, half::step] = mean(beside, "beside")
        heights[:, half::step, ::step] = mean(above, "above")
        step, amplitude = half, amplitude / decay
    heights -= heights.amin((1, 2), keepdim=True)
    return heights / heights.amax((1, 2), keepdim=True)
