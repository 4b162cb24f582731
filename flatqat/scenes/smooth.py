"""Smooth fields, blurs and exp(-x) by sums and products in a fixed order: the same bits on every machine.

The last digit of NumPy's exp depends on the processor; IEEE 754 fixes the rounding of sums and products.
"""

import numpy as np
from numpy.typing import NDArray

from flatqat.scenes.dice import Dice

Map = NDArray[np.float64]
MOST = 50.0  # exp(-50) is far below the darkest level of an image
HALVINGS, DEGREE = 8, 10


def decay(x: Map) -> Map:
    """Return exp(-x) for x >= 0 of any shape, to 1e-12 of its value; x above 50 counts as 50.

    It is (sum_k (-y)^k / k!)^(2^8) with y = x / 2^8, where the sum uses Horner's rule.
    """
    y = np.minimum(x, MOST) / 2**HALVINGS
    total: Map = np.ones_like(y)
    for k in range(DEGREE, 0, -1):
        total = 1 - y / k * total
    for _ in range(HALVINGS):
        total = total * total
    return total


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
