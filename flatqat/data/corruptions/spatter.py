"""Spatter: drops of water or mud on the lens."""

import torch
from torch import Tensor

from flatqat.data.corruptions._draw import Draw
from flatqat.data.corruptions._drops import rims
from flatqat.data.corruptions._smooth import smooth
from flatqat.data.corruptions.constants import Constants

_WATER = (175, 238, 238)
_MUD = (63, 42, 20)


def spatter(images: Tensor, draw: Draw, constants: Constants) -> Tensor:
    """Add drops. Constants: (mean, std, sigma, threshold, strength or sigma of the mud, 1 for mud).

    Liquid is normal noise, smoothed and cut below the threshold. Water shines at the rims of its drops (see
    `_drops`) and is added; mud covers. An image on which no drop falls stays unchanged (the original divides
    by zero there and blackens it).
    """
    mean, std, sigma, threshold, strength, mud = constants
    liquid = smooth(draw.normal("liquid", 1, *images.shape[2:]), sigma).mul_(std).add_(mean)
    if mud:
        cover = smooth((liquid > threshold).float(), strength)
        cover.mul_(cover >= 0.8)
        return images.float().mul_(1 - cover).add_(cover * _color(_MUD, cover))
    level = liquid.mul_(liquid >= threshold).mul_(255).int().bitwise_and_(255).float()
    shine = level * rims(level)
    shine /= shine.amax((2, 3), keepdim=True).clamp_(min=1e-9)
    return images.float().add_(strength * shine * _color(_WATER, shine))


def _color(rgb: tuple[int, int, int], like: Tensor) -> Tensor:
    return torch.tensor(rgb, dtype=like.dtype, device=like.device).view(3, 1, 1)
