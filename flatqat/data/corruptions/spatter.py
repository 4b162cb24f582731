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
    """Constants: (mean, std, sigma, threshold, strength or sigma of the mud, 1 for mud and 0 for water).

    Liquid is normal noise, smoothed and cut below the threshold. Water shines at the rims of its drops (see
    `_drops`) and is added; mud covers. An image on which no drop falls stays as it is (the original divides
    by zero there and blackens it).
    """
    mean, std, sigma, threshold, strength, mud = constants
    # Steps of 2^-12 have few enough bits for sums that are exact.
    noise = (draw.normal("liquid", 1, *images.shape[2:]) * 2.0**12).round_()
    liquid = smooth(noise, sigma).mul_(std * 2.0**-12).add_(mean)
    liquid = liquid * (liquid >= threshold)
    x = images.float()
    if mud:
        cover = smooth(liquid > threshold, strength).float()
        cover = cover * (cover >= 0.8)
        return x * (1 - cover) + cover * _color(_MUD, x)
    level = (liquid * 255).floor_().remainder_(256)
    shine = (level * rims(level)).float()
    shine = shine / shine.amax((2, 3), keepdim=True).clamp_(min=1e-9)
    return x + strength * shine * _color(_WATER, x)


def _color(rgb: tuple[int, int, int], like: Tensor) -> Tensor:
    return torch.tensor(rgb, dtype=like.dtype, device=like.device).view(3, 1, 1)
