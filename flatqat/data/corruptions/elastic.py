"""Elastic transform: a random affine map, then a smooth random displacement."""

import torch
from torch import Tensor
from torch.nn import functional as F

from flatqat.data.corruptions._draw import Draw
from flatqat.data.corruptions._smooth import smooth
from flatqat.data.corruptions.constants import Constants


def elastic_transform(images: Tensor, draw: Draw, constants: Constants) -> Tensor:
    """Constants: (amplitude, sigma, shift), all in pixels.

    Three points of the image move by up to `shift` in each direction and carry it with them. Then each
    pixel is read at a displacement: uniform noise on [-1, 1], smoothed by `sigma`, times `amplitude`.
    Both steps interpolate bilinearly; borders mirror, in the first about the edge pixels and in the second
    about the image's edge.
    """
    amplitude, sigma, shift = constants
    height, width = images.shape[2:]
    y, x = torch.meshgrid(
        torch.arange(height, dtype=torch.float64, device=images.device),
        torch.arange(width, dtype=torch.float64, device=images.device),
        indexing="ij",
    )
    warped = _sample(images.float(), *_affine_source(draw, x, y, shift), mirror_pixels=True)
    if amplitude == 0:
        return warped
    # 2^-15 steps: few enough bits for sums that are exact.
    noise = draw.integers("displacement", 2, height, width, low=-(2**15), high=2**15 + 1)
    dx, dy = (smooth(noise, sigma, border="reflect", truncate=3.0) * (amplitude * 2.0**-15)).unbind(1)
    return _sample(warped, x + dx, y + dy, mirror_pixels=False)


def _affine_source(draw: Draw, x: Tensor, y: Tensor, shift: float) -> tuple[Tensor, Tensor]:
    """Where each output pixel (x, y) is read, float64 (B, H, W): the inverse of the map that takes the
    corners c + s, (c + s, c - s) and c - s of a square to their moved places."""
    height, width = x.shape
    side = 2 * (min(height, width) // 3)
    corner = (height // 2 + side // 2, width // 2 - side // 2)
    moves = draw.uniform("corners", 3, 2, low=-shift, high=shift).double()[..., None, None]
    # The columns of the linear part: what a step to the right and a step down turn into.
    right = (moves[:, 1] - moves[:, 2]) / side
    down = (moves[:, 0] - moves[:, 1]) / side
    a, c = right[:, 0] + 1, right[:, 1]
    b, d = down[:, 0], down[:, 1] + 1
    u = x - corner[0] - moves[:, 1, 0]
    v = y - corner[1] - moves[:, 1, 1]
    det = a * d - b * c
    return (d * u - b * v) / det + corner[0], (a * v - c * u) / det + corner[1]


def _sample(images: Tensor, x: Tensor, y: Tensor, *, mirror_pixels: bool) -> Tensor:
    """Bilinear values at pixel coordinates (B, H, W); borders mirror about the edge pixels or the edge."""
    height, width = images.shape[2:]
    if mirror_pixels:
        grid = torch.stack([2 * x / max(width - 1, 1) - 1, 2 * y / max(height - 1, 1) - 1], -1)
    else:
        grid = torch.stack([(2 * x + 1) / width - 1, (2 * y + 1) / height - 1], -1)
    return F.grid_sample(images, grid.float(), padding_mode="reflection", align_corners=mirror_pixels)
