"""Transforms of an image and its label map together, which are cut alike.

A pair is a Pillow RGBA image whose alpha band is the label map: train ids, and 255 for pixels that are not
scored. All transforms return uint8 (height, width, 4). Colors are resized bilinearly (antialiased when
shrinking), labels to the nearest neighbor; outside the image, colors are black and labels 255. Pillow weights
colors by alpha when it resizes RGBA, so the two are always split first.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
from PIL import Image as Pillow
from PIL.Image import Image, Resampling

from flatqat.data.images.encoded import Pixels
from flatqat.spec import IGNORED

TRIES = 10

HeightWidth = tuple[int, int]
"""Height and width in pixels."""


def join(colors: Image, labels: Image) -> Image:
    """Return the pair of an RGB image and a label map (mode L) of the same size."""
    return Pillow.merge("RGBA", (*colors.split(), labels))


def split(pair: Image) -> tuple[Image, Image]:
    """Return the RGB image and the label map of a pair."""
    return pair.convert("RGB"), pair.getchannel("A")


def uncropped(pair: Image, _: int) -> Pixels:
    """Return the pixels of a pair unchanged."""
    return np.asarray(pair)


def center_crop(size: HeightWidth) -> Callable[[Image, int], Pixels]:
    """Return the transform that cuts the middle of a pair, not resized; a smaller pair is padded around."""
    return partial(_center_crop, size)


def jitter_crop(
    size: HeightWidth,
    seed: int,
    *,
    scale: tuple[float, float] = (0.5, 2.0),
    flip: bool = True,
    most: float = 0.75,
) -> Callable[[Image, int], Pixels]:
    """Return a random transform for training: resize a pair, cut a window, mirror half of the images.

    The window is chosen again, up to `TRIES` times, while one class fills too much of it or no pixel is
    labeled. A pair smaller than the window is padded below and on the right. The result only depends on the
    seed and the image's id. Source: the usual training on Cityscapes, as in `RandomResize`,
    `RandomCrop(cat_max_ratio)` and `RandomFlip` of MMSegmentation.

    Args:
        size: Height and width of the window.
        seed: Seeds the random numbers together with the image's id.
        scale: The scale is uniform on this range.
        flip: Whether to mirror half of the images.
        most: The largest share of a window's labeled pixels that one class may fill.
    """
    return partial(_jitter_crop, size, seed, scale, flip, most)


def _center_crop(size: HeightWidth, pair: Image, _: int) -> Pixels:
    left, top = (
        round((have - want) / 2) if have >= want else -((want - have) // 2)
        for have, want in zip(pair.size, size[::-1], strict=True)
    )
    return _window(*split(pair), left, top, size)


def _jitter_crop(
    size: HeightWidth,
    seed: int,
    scale: tuple[float, float],
    flip: bool,
    most: float,
    pair: Image,
    image_id: int,
) -> Pixels:
    rng = np.random.Generator(np.random.PCG64([seed, image_id]))
    factor = rng.uniform(*scale)
    width, height = (max(1, round(side * factor)) for side in pair.size)
    colors, labels = split(pair)
    colors = colors.resize((width, height), Resampling.BILINEAR)
    labels = labels.resize((width, height), Resampling.NEAREST)
    left, top = _place(np.asarray(labels), size, most, rng)
    pixels = _window(colors, labels, left, top, size)
    return pixels[:, ::-1] if flip and rng.random() < 0.5 else pixels


def _place(labels: Pixels, size: HeightWidth, most: float, rng: np.random.Generator) -> tuple[int, int]:
    """Return left and top of the window, in pixels."""
    left = top = 0
    for _ in range(TRIES):
        top, left = (
            int(rng.integers(max(have - want, 0) + 1)) for have, want in zip(labels.shape, size, strict=True)
        )
        inside = labels[top : top + size[0], left : left + size[1]]
        counts = np.bincount(inside.ravel(), minlength=IGNORED + 1)[:IGNORED]
        if 0 < counts.max() <= most * counts.sum():
            break
    return left, top


def _window(colors: Image, labels: Image, left: int, top: int, size: HeightWidth) -> Pixels:
    """Return the window (height, width, 4) of both; it may extend beyond the image."""
    height, width = size
    padded = Pillow.new("L", (width, height), IGNORED)
    padded.paste(labels, (-left, -top))
    box = (left, top, left + width, top + height)
    return np.dstack([np.asarray(colors.crop(box)), np.asarray(padded)])
