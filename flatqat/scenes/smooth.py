"""Smooth fields and blurs by sums in a fixed order, which are the same to the bit on every machine."""

import numpy as np
from numpy.typing import NDArray

from flatqat.scenes.dice import Dice

Map = NDArray[np.float64]


def blotches(dice: Dice, height: int, width: int, pitch: int) -> Map:
    """Return normal noise on a grid of `pitch` pixels, linear between its points, where its variance is 1."""
    coarse = dice.normals(height // pitch + 2, width // pitch + 2)
    return _between(_between(coarse, height, pitch).T, width, pitch).T


def blurred(image: Map, radius: int) -> Map:
    """Return box means over 2 radius + 1 pixels along rows and columns, applied twice; edges are repeated."""
    for _ in range(2):
        for axis in (0, 1):
            image = _box(image, radius, axis)
    return image


def _box(image: Map, radius: int, axis: int) -> Map:
    moved = np.moveaxis(image, axis, 0)
    ends = [(radius + 1, radius)] + [(0, 0)] * (moved.ndim - 1)
    total = np.cumsum(np.pad(moved, ends, mode="edge"), axis=0)
    size = 2 * radius + 1
    return np.moveaxis((total[size:] - total[:-size]) / size, 0, axis)


def _between(field: Map, size: int, pitch: int) -> Map:
    position = np.arange(size) / pitch
    low = position.astype(int)
    share = (position - low)[:, None]
    mixed: Map = field[low] * (1 - share) + field[low + 1] * share
    return mixed
