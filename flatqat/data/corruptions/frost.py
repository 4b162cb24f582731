"""Frost: a crop of a picture of ice is laid over the image."""

from functools import lru_cache
from math import ceil
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from flatqat.data.corruptions import photographs
from flatqat.data.corruptions._draw import Draw
from flatqat.data.corruptions._ice import textures
from flatqat.data.corruptions.constants import Constants


def frost(images: Tensor, draw: Draw, constants: Constants) -> Tensor:
    """Return a x + b t, t a random crop of a random picture of ice. Constants: (a, b, step).

    t takes one pixel in `step`: for 32-pixel images the original resizes its photographs by 0.2, which reads
    the middle one of every five pixels. The pictures are the original photographs if the user has them (see
    `photographs`), otherwise those of `_ice`.
    """
    keep, amount, step = constants[0], constants[1], int(constants[2])
    pictures = _pictures(photographs.paths(), step, images.device)
    size = images.shape[2:]
    which = draw.integers("picture", low=0, high=len(pictures)).tolist()
    corners = draw.uniform("corner", 2).tolist()
    crops = []
    for number, corner in zip(which, corners, strict=True):
        picture = _larger(pictures[number], size)
        room = (n - m for n, m in zip(picture.shape[1:], size, strict=True))
        top, left = (int(share * n) for share, n in zip(corner, room, strict=True))
        crops.append(picture[:, top : top + size[0], left : left + size[1]])
    return images.float().mul_(keep).add_(torch.stack(crops).float().mul_(amount))


def _larger(picture: Tensor, size: torch.Size) -> Tensor:
    """Repeat a picture that is not larger than the image."""
    times = [ceil((m + 1) / n) for n, m in zip(picture.shape[1:], size, strict=True)]
    return picture if times == [1, 1] else picture.repeat(1, *times)


@lru_cache(maxsize=4)
def _pictures(paths: tuple[Path, ...], step: int, device: torch.device) -> list[Tensor]:
    """Return the pictures of ice, uint8 (3, H, W) each."""
    pictures = [torch.from_numpy(np.array(photographs.decoded(path))) for path in paths] or textures()
    middles = slice(step // 2, None, step)
    return [x.permute(2, 0, 1)[:, middles, middles].contiguous().to(device) for x in pictures]
