"""Brightness, contrast and saturation."""

from functools import lru_cache

import torch
from torch import Tensor

from flatqat.data.corruptions._draw import Draw
from flatqat.data.corruptions._levels import store
from flatqat.data.corruptions.constants import Constants


def brightness(images: Tensor, draw: Draw, constants: Constants) -> Tensor:
    """Raise V in HSV: V' = min(V + c, 1). Constants: (c,).

    At constant hue and saturation all channels scale by V' / V; black has no hue and turns gray.
    """
    table = _brightened(constants[0]).to(images.device)
    value = images.amax(1, keepdim=True).int().bitwise_left_shift_(8)
    return table.index_select(0, images.int().bitwise_or_(value).flatten()).view(images.shape)


@lru_cache(maxsize=10)
def _brightened(shift: float) -> Tensor:
    """Return the new level of a channel x in a pixel of value V at 256 V + x, uint8."""
    value, x = torch.arange(256.0)[:, None], torch.arange(256.0)
    lifted = (value + 255 * shift).clamp_(max=255)
    levels = torch.where(value > 0, x * (lifted / value.clamp(min=1)), lifted)
    store(levels, table := torch.empty(256, 256, dtype=torch.uint8))
    return table.flatten()


def contrast(images: Tensor, draw: Draw, constants: Constants) -> Tensor:
    """Return (x - m) c + m, with m the mean of each channel over the image. Constants: (c,)."""
    (factor,) = constants
    height, width = images.shape[2:]
    mean = images.sum((2, 3), keepdim=True).double().div_(height * width)
    return images.float().mul_(factor).add_((mean * (1 - factor)).float())


def saturate(images: Tensor, draw: Draw, constants: Constants) -> Tensor:
    """Change S in HSV: S' = clip(a S + b, 0, 1). Constants: (a, b).

    At constant hue and value each channel keeps its share of the way down from V: V - (V - x) S' / S. Gray
    has no hue; by convention it is 0, so b > 0 tints it red.
    """
    factor, shift = constants
    x = images.float()
    value = x.amax(1, keepdim=True)
    depth = value - x.amin(1, keepdim=True)
    saturation = (depth / value.clamp(min=1)).mul_(factor).add_(shift).clamp_(0, 1)
    share = (value - x).div_(depth.clamp(min=1))
    share[:, 1:] += (depth == 0).float()
    return value - share.mul_(value * saturation)
