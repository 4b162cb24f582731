"""A fixed linear filter of a small image is one matrix, and one product beats many steps."""

from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor

from flatqat.data.corruptions._smooth import snap
from flatqat.data.corruptions.constants import Constants

Filter = Callable[[Tensor, Constants], Tensor]

_PIXELS = 48 * 48


def filtered(images: Tensor, constants: Constants, by: Filter) -> Tensor:
    """`by(images, constants)`, for uint8 images (B, C, H, W) and a linear filter that treats channels alike.

    The matrix holds multiples of 2^-15 and the images whole numbers below 2^8, so that every sum is exact
    in the 24 bits of a float32, weights that add up to a little over 1 included.
    """
    height, width = images.shape[2:]
    if height * width > _PIXELS:
        return by(images, constants)
    # A GPU may multiply float32 with fewer bits (TF32); the sums would no longer be exact.
    dtype = torch.float32 if images.device.type == "cpu" else torch.float64
    matrix = _matrix(by, constants, height, width).to(images.device, dtype)
    return (images.to(dtype).view(-1, height * width) @ matrix).view(images.shape)


@lru_cache(maxsize=20)
def _matrix(by: Filter, constants: Constants, height: int, width: int) -> Tensor:
    """float32 (H W, H W): column j holds the weights of output j, read off the images of single pixels."""
    size = height * width
    points = torch.eye(size).mul_(255).to(torch.uint8).view(size, 1, height, width)
    weights = by(points, constants).view(size, size).T.double() / 255
    return snap(weights, 15).T.float().contiguous()
