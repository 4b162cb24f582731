"""Elastic transform: a random affine map, then a smooth random displacement."""

import torch
from torch import Tensor
from torch.nn import functional as F

from flatqat.data.corruptions._draw import Draw
from flatqat.data.corruptions._smooth import smooth
from flatqat.data.corruptions.constants import Constants


def elastic_transform(images: Tensor, draw: Draw, constants: Constants) -> Tensor:
    """Warp the image by a random affine map, then by a displacement. Constants: (amplitude, sigma, shift).

    All constants are in pixels. Three points of the image move by up to `shift` in each direction and carry
    it with them. Then each pixel is read at a displacement: uniform noise on [-1, 1], smoothed by `sigma`,
    times `amplitude`. Both steps interpolate bilinearly; borders mirror, in the first step about the edge
    pixels and in the second about the image's edge.
    """
    amplitude, sigma, shift = constants
    height, width = images.shape[2:]
    y, x = (torch.arange(n, dtype=torch.float64, device=images.device) for n in (height, width))
    warped = _sample(images.float(), *_affine_source(draw, x, y, shift), mirror_pixels=True)
    if amplitude == 0:
        return warped
    noise = draw.uniform("displacement", 2, height, width, low=-1.0, high=1.0)
    dx, dy = smooth(noise, sigma, border="reflect", truncate=3.0).mul_(amplitude).unbind(1)
    return _sample(warped, dx + x.float(), dy + y.float()[:, None], mirror_pixels=False)


def _affine_source(draw: Draw, x: Tensor, y: Tensor, shift: float) -> tuple[Tensor, Tensor]:
    """Return where each output pixel (x, y) is read, float32 (B, H, W) each.

    This is the inverse of the map that takes the corners c + s, (c + s, c - s) and c - s of a square to their
    moved places. Its center c is at x = height / 2 and y = width / 2, as in the original: not that of an
    image that is not square. Positions are whole 1/32 of a pixel, sums of whole 1/1024, at which OpenCV's
    warpAffine, which the original calls, reads images.
    """
    height, width = len(y), len(x)
    side = 2 * (min(height, width) // 3)
    corner = (height // 2 + side // 2, width // 2 - side // 2)
    moves = draw.uniform("corners", 3, 2, low=-shift, high=shift).double()
    # The columns of the linear part: the images of a step to the right and of a step down.
    right = (moves[:, 1] - moves[:, 2]) / side
    down = (moves[:, 0] - moves[:, 1]) / side
    a, c = right[:, :1] + 1, right[:, 1:]
    b, d = down[:, :1], down[:, 1:] + 1
    u, v = (corner[i] + moves[:, 1, i, None] for i in (0, 1))
    det = a * d - b * c

    def source(along_x: Tensor, along_y: Tensor, offset: int) -> Tensor:
        start = offset - along_x * u - along_y * v
        columns = (along_x * x * 1024).round().int()
        rows = ((along_y * y + start) * 1024).round().int() + 16
        return (columns[:, None] + rows[:, :, None]).bitwise_right_shift_(5).float().mul_(1 / 32)

    return source(d / det, -b / det, corner[0]), source(-c / det, a / det, corner[1])


def _sample(images: Tensor, x: Tensor, y: Tensor, *, mirror_pixels: bool) -> Tensor:
    """Return bilinear values at pixels (B, H, W); borders mirror about edge pixels, or the image's edge."""
    grid = x.new_empty(*x.shape, 2)
    for axis, (position, size) in enumerate(((x, images.shape[3]), (y, images.shape[2]))):
        edge = 0.0 if mirror_pixels else 0.5
        span = max(size - 1 + 2 * edge, 1.0)
        position = position + edge  # then mirrored, with a period of 2 spans
        position = position.sub_((position / (2 * span)).round_().mul_(2 * span)).abs_()
        grid[..., axis] = position.mul_(2 / span).sub_(1)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=mirror_pixels)
