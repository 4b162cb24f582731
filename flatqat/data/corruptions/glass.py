"""Glass blur: pixels take the colours of near neighbours, between two Gaussian blurs."""

import torch
from torch import Tensor

from flatqat.data.corruptions._draw import Draw
from flatqat.data.corruptions._smooth import smooth
from flatqat.data.corruptions.constants import Constants


def glass_blur(images: Tensor, draw: Draw, constants: Constants) -> Tensor:
    """Blur, move pixels, blur. Constants: (sigma, reach in pixels, rounds).

    The original walks over the image from the last row and column to the first and means to swap each pixel
    with a neighbour, but it swaps views of one array, so that the neighbour's colour is copied and nothing
    goes back. A neighbour passed before on that walk hands on what it has itself received. Each pixel thus
    points to one other; following the pointers to a pixel that had not been passed yet, by doubling them,
    gives the walk's result at once.
    """
    sigma, reach, rounds = constants[0], int(constants[1]), int(constants[2])
    count, channels, height, width = images.shape
    source = torch.arange(height * width, device=images.device).repeat(count, 1)
    for i in range(rounds):
        source = source.gather(1, _walk(draw, f"round {i}", reach, height, width))
    pixels = smooth(images, sigma).floor_().flatten(2)
    moved = pixels.gather(2, source[:, None].expand(-1, channels, -1))
    return smooth(moved.view(images.shape), sigma)


def _walk(draw: Draw, field: str, reach: int, height: int, width: int) -> Tensor:
    """int64 (B, H W): the pixel whose colour each pixel holds after one round."""
    size, device = height * width, draw.keys.device
    here = torch.arange(size, device=device)
    dy, dx = draw.integers(field, 2, size, low=-reach, high=reach).unbind(1)
    row, column = here // width, here % width
    walked = _inside(row, reach, height) & _inside(column, reach, width)
    there = torch.where(walked, here + dy * width + dx, here)
    passed = (there > here) & walked[there]
    # Pointers below `size` lead on; those from `size` up are answers, and point to themselves.
    pointer = torch.where(passed, there, there + size)
    while bool((pointer < size).any()):
        pointer = torch.where(pointer < size, pointer.gather(1, pointer.clamp(max=size - 1)), pointer)
    return pointer - size


def _inside(at: Tensor, reach: int, size: int) -> Tensor:
    return (at > reach) & (at <= size - reach)
