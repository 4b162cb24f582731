"""Glass blur: pixels take the colors of near neighbors, between two Gaussian blurs."""

import torch
from torch import Tensor

from flatqat.data.corruptions._draw import Draw
from flatqat.data.corruptions._levels import floor_
from flatqat.data.corruptions._smooth import smooth
from flatqat.data.corruptions.constants import Constants


def glass_blur(images: Tensor, draw: Draw, constants: Constants) -> Tensor:
    """Blur, move pixels, blur again. Constants: (sigma, reach in pixels, rounds).

    The original walks over the image from the last row and column to the first and intends to swap each pixel
    with a neighbor, but it swaps views of one array, so the neighbor's color is copied and nothing goes back.
    A neighbor that the walk has already passed hands on what it has itself received. Each pixel thus points
    to one other; following the pointers to a pixel that had not yet been passed, by doubling them, gives the
    walk's result at once.
    """
    sigma, reach, rounds = constants[0], int(constants[1]), int(constants[2])
    count, channels, height, width = images.shape
    first = torch.arange(count, device=images.device)[:, None] * (height * width)
    source = torch.arange(images[:, 0].numel(), dtype=torch.int32, device=images.device)
    for i in range(rounds):
        source = source.index_select(0, _walk(draw, f"round {i}", reach, height, width))
    pixels = floor_(smooth(images, sigma)).flatten(2)
    near = source.view(count, -1) - first
    moved = pixels.gather(2, near[:, None].expand(-1, channels, -1))
    return smooth(moved.view(images.shape), sigma)


def _walk(draw: Draw, field: str, reach: int, height: int, width: int) -> Tensor:
    """Return the pixel of the batch whose color each pixel holds after one round, int32 (B H W,)."""
    size, device = height * width, draw.keys.device
    pixels = len(draw.keys) * size
    dy, dx = draw.integers(field, 2, size, low=-reach, high=reach).unbind(1)
    walked = (_inside(height, reach, device)[:, None] * _inside(width, reach, device)).flatten()
    step = (dy * width).add_(dx).mul_(walked)
    target = step + torch.arange(size, dtype=torch.int32, device=device)
    passed = step.clamp_(0, 1).mul_(walked.index_select(0, target.flatten()).view(step.shape))
    # Pointers below `pixels` lead to others; larger ones are results and point to themselves.
    target += torch.arange(0, pixels, size, dtype=torch.int32, device=device)[:, None]
    pointer = passed.mul_(-pixels).add_(target).add_(pixels).flatten()
    table = torch.cat([pointer, torch.arange(pixels, 2 * pixels, dtype=torch.int32, device=device)])
    while int(pointer.min()) < pixels:
        pointer = table.index_select(0, pointer)
        table[:pixels] = pointer
    return pointer.sub_(pixels)


def _inside(size: int, reach: int, device: torch.device) -> Tensor:
    """Return 1 where the walk passes, int32 (size,)."""
    position = torch.arange(size, device=device)
    return ((position > reach) & (position <= size - reach)).int()
