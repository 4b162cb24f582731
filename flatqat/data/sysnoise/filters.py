"""The filters of resizing: which pixels a new pixel is made from, and how much each weighs.

Antialiased filters widen where an image shrinks, and leave out what lies outside: those of Pillow, and of
torch with `antialias=True`. The others keep their width, whatever the scale, and repeat the border: those of
OpenCV, and torch's default. Pixel i of the new image lies at (i + 1/2) scale - 1/2 in the old one, except for
`nearest`, which takes pixel floor(i scale), as both OpenCV and torch do. `area` weighs pixels by how much of
them the new one covers, as OpenCV's INTER_AREA does where an image shrinks.

Weights are whole numbers that sum to 2^BITS. Sources: Keys 1981 for bicubic (a = -1/2 antialiased, as in
Pillow, else -3/4, as in OpenCV and torch); Turkowski 1990 for Lanczos (three lobes antialiased, else four).
"""

from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from math import ceil

import numpy as np
from numpy.typing import NDArray

BITS = 16

Values = NDArray[np.float64]
Whole = NDArray[np.int64]
Taps = tuple[Whole, Values]
"""Positions, inside or outside the old image, and weights, both (new size, taps)."""


def _box(x: Values) -> Values:
    return np.where((x > -0.5) & (x <= 0.5), 1.0, 0.0)


def _triangle(x: Values) -> Values:
    inside: Values = np.maximum(1 - np.abs(x), 0)
    return inside


def _hamming(x: Values) -> Values:
    return np.where(np.abs(x) < 1, np.sinc(x) * (0.54 + 0.46 * np.cos(np.pi * x)), 0)


def _cubic(x: Values, a: float) -> Values:
    x = np.abs(x)
    near, far = ((a + 2) * x - (a + 3)) * x**2 + 1, ((x - 5) * x + 8) * x * a - 4 * a
    return np.where(x < 1, near, np.where(x < 2, far, 0))


def _lanczos(x: Values, lobes: int) -> Values:
    return np.where(np.abs(x) < lobes, np.sinc(x) * np.sinc(x / lobes), 0)


def _antialiased(kernel: Callable[[Values], Values], radius: float, old: int, new: int) -> Taps:
    scale = old / new
    width = max(scale, 1.0)
    centers = (np.arange(new)[:, None] + 0.5) * scale
    first = np.maximum(np.floor(centers - radius * width + 0.5), 0)
    places = (first + np.arange(ceil(2 * radius * width) + 1)).astype(np.int64)
    end = np.minimum(np.floor(centers + radius * width + 0.5), old)
    return places, kernel((places + 0.5 - centers) / width) * (places < end)


def _of_one_width(kernel: Callable[[Values], Values], radius: int, old: int, new: int) -> Taps:
    centers = (np.arange(new)[:, None] + 0.5) * (old / new) - 0.5
    places = (np.floor(centers) + np.arange(1 - radius, radius + 1)).astype(np.int64)
    return places, kernel(places - centers)


def _nearest(old: int, new: int) -> Taps:
    return np.arange(new)[:, None] * old // new, np.ones((new, 1))


def _area(old: int, new: int) -> Taps:
    starts = np.arange(new)[:, None] * old  # in units of 1 / new of a pixel, which are whole
    places = starts // new + np.arange(ceil(old / new) + 1)
    covered = np.minimum(starts + old, (places + 1) * new) - np.maximum(starts, places * new)
    return places, np.maximum(covered, 0).astype(float)


FILTERS: Mapping[str, Callable[[int, int], Taps]] = {
    "nearest": _nearest,
    "box": partial(_antialiased, _box, 0.5),
    "area": _area,
    "bilinear": partial(_antialiased, _triangle, 1),
    "hamming": partial(_antialiased, _hamming, 1),
    "bicubic": partial(_antialiased, partial(_cubic, a=-0.5), 2),
    "lanczos": partial(_antialiased, partial(_lanczos, lobes=3), 3),
    "bilinear_aliased": partial(_of_one_width, _triangle, 1),
    "bicubic_aliased": partial(_of_one_width, partial(_cubic, a=-0.75), 2),
    "lanczos_aliased": partial(_of_one_width, partial(_lanczos, lobes=4), 4),
}


@lru_cache(maxsize=256)
def taps(name: str, old: int, new: int) -> tuple[Whole, Whole]:
    """Return from which of `old` pixels each of `new` is made, and their weights, both (new, taps)."""
    places, weights = FILTERS[name](old, new)
    whole = np.rint(weights / weights.sum(1, keepdims=True) * (1 << BITS)).astype(np.int64)
    largest = whole.argmax(1)
    whole[np.arange(new), largest] += (1 << BITS) - whole.sum(1)
    return places.clip(0, old - 1), whole
