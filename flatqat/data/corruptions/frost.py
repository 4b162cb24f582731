"""Frost: a crop of an icy texture laid over the image."""

import torch
from torch import Tensor

from flatqat.data.corruptions._draw import Draw
from flatqat.data.corruptions._ice import SIZE, textures
from flatqat.data.corruptions.constants import Constants


def frost(images: Tensor, draw: Draw, constants: Constants) -> Tensor:
    """a x + b t, with t a random crop of a random texture. Constants: (a, b, one pixel of t in how many).

    The original takes five photographs of ice, reduced five times for 32-pixel images by reading every fifth
    pixel. flatqat ships no photograph: `_ice` makes five textures of like colour, contrast and spectrum.
    """
    keep, amount, step = constants
    ice = textures().to(images.device)
    which = draw.integers("texture", low=0, high=len(ice))
    corner = draw.integers("corner", 2, low=0, high=SIZE)
    height, width = images.shape[2:]
    rows, columns = (
        (corner[:, axis, None] + torch.arange(size, device=images.device) * int(step)) % SIZE
        for axis, size in ((0, height), (1, width))
    )
    crop = ice[which[:, None, None], rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
    return images.float().mul_(keep).add_(crop, alpha=amount)
