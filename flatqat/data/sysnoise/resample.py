"""Resize images with the sums of both directions exact, and round once.

Pillow rounds to 8 bits between the two directions; libraries that compute in floating point round at the end,
or cut the fraction off. So even the same filter gives other levels elsewhere.
"""

from functools import reduce

import numpy as np
from PIL import Image as Pillow
from PIL.Image import Image

from flatqat.data.images.encoded import Pixels
from flatqat.data.sysnoise.filters import BITS, Whole, taps
from flatqat.spec import Interpolation

LARGER, SMALLER = 3, 2


def resample(pixels: Pixels, size: tuple[int, int], name: str, *, truncated: bool = False) -> Pixels:
    """Return images (..., height, width, 3) of another size.

    Args:
        pixels: uint8 (..., H, W, 3).
        size: Height and width.
        name: One of `FILTERS`.
        truncated: Whether to cut fractions off instead of rounding, halves up.
    """
    if pixels.shape[-3:-1] == size:
        return pixels
    sums = pixels.astype(np.int64)
    for axis, new in zip((-3, -2), size, strict=True):
        sums = _along(axis, sums, *taps(name, sums.shape[axis], new))
    half = 0 if truncated else 1 << (2 * BITS - 1)
    return ((sums + half) >> (2 * BITS)).clip(0, 255).astype(np.uint8)


def resize_with(name: str, image: Image, size: tuple[int, int], _: Interpolation) -> Image:
    """Resize an RGB image to width and height with a filter, whatever that of the model is."""
    return Pillow.fromarray(resample(np.asarray(image), size[::-1], name))


def resize_truncated(image: Image, size: tuple[int, int], interpolation: Interpolation) -> Image:
    """Resize an RGB image to width and height with the model's filter, and cut fractions off."""
    return Pillow.fromarray(resample(np.asarray(image), size[::-1], interpolation, truncated=True))


def there_and_back(pixels: Pixels, name: str, *, truncated: bool = False) -> Pixels:
    """Return images that were enlarged by half and shrunk again, uint8 (..., H, W, 3)."""
    height, width = pixels.shape[-3:-1]
    size = (height * LARGER // SMALLER, width * LARGER // SMALLER)
    return resample(
        resample(pixels, size, name, truncated=truncated), (height, width), name, truncated=truncated
    )


def _along(axis: int, values: Whole, places: Whole, weights: Whole) -> Whole:
    """Return weighted sums of slices along an axis."""
    shape = [1] * values.ndim
    shape[axis] = len(places)
    slices = (
        values.take(place, axis) * weight.reshape(shape)
        for place, weight in zip(places.T, weights.T, strict=True)
    )
    return reduce(np.add, slices)
