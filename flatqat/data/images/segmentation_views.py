"""Views of decoded pairs: an image of street size and its label map, cut alike.

A pair is a Pillow image RGBA whose alpha band is the label map, train ids and 255 for what is not scored.
All views give uint8 (height, width, 4). Colours are resized bilinearly (antialiased where they shrink),
labels to the nearest; outside of the image colours are black and labels 255. Pillow weighs colours by alpha
when it resizes RGBA, so the two are always taken apart first.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
from PIL import Image as Pillow
from PIL.Image import Image, Resampling

from flatqat.data.images.encoded import Pixels
from flatqat.spec import IGNORED

TRIES = 10

Size = tuple[int, int]
"""Height and width in pixels."""


def joined(colours: Image, labels: Image) -> Image:
    """The pair of an RGB image and a label map (mode L) of its size."""
    pair = colours.copy()
    pair.putalpha(labels)
    return pair


def parted(pair: Image) -> tuple[Image, Image]:
    """The RGB image and the label map of a pair."""
    return pair.convert("RGB"), pair.getchannel("A")


def whole(pair: Image, _: int) -> Pixels:
    """A pair as it is."""
    return np.asarray(pair)


def centre_crop(size: Size) -> Callable[[Image, int], Pixels]:
    """The middle of a pair at native scale; a smaller one stands in the middle of the padding."""
    return partial(_centre_crop, size)


def jitter_crop(
    size: Size, seed: int, *, scale: tuple[float, float] = (0.5, 2.0), flip: bool = True, most: float = 0.75
) -> Callable[[Image, int], Pixels]:
    """A random window of a pair that was resized at random, mirrored in half of the cases.

    The scale is uniform on `scale`. The window is drawn again, `TRIES` times at most, while one class fills
    more than `most` of its labelled pixels or none is labelled. A pair smaller than the window is padded
    below and to the right. Depends on (seed, image id) alone. Source: the usual training on Cityscapes, as
    `RandomResize`, `RandomCrop(cat_max_ratio)` and `RandomFlip` of MMSegmentation do it.
    """
    return partial(_jitter_crop, size, seed, scale, flip, most)


def _centre_crop(size: Size, pair: Image, _: int) -> Pixels:
    left, top = (
        round((have - want) / 2) if have >= want else -((want - have) // 2)
        for have, want in zip(pair.size, size[::-1], strict=True)
    )
    return _window(*parted(pair), left, top, size)


def _jitter_crop(
    size: Size, seed: int, scale: tuple[float, float], flip: bool, most: float, pair: Image, image_id: int
) -> Pixels:
    rng = np.random.Generator(np.random.PCG64([seed, image_id]))
    factor = rng.uniform(*scale)
    width, height = (max(1, round(side * factor)) for side in pair.size)
    colours, labels = parted(pair)
    colours = colours.resize((width, height), Resampling.BILINEAR)
    labels = labels.resize((width, height), Resampling.NEAREST)
    left, top = _place(np.asarray(labels), size, most, rng)
    pixels = _window(colours, labels, left, top, size)
    return pixels[:, ::-1] if flip and rng.random() < 0.5 else pixels


def _place(labels: Pixels, size: Size, most: float, rng: np.random.Generator) -> tuple[int, int]:
    """Left and top of the window, in pixels."""
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


def _window(colours: Image, labels: Image, left: int, top: int, size: Size) -> Pixels:
    """The window of both, (height, width, 4); it may reach beyond the image."""
    height, width = size
    padded = Pillow.new("L", (width, height), IGNORED)
    padded.paste(labels, (-left, -top))
    box = (left, top, left + width, top + height)
    return np.dstack([np.asarray(colours.crop(box)), np.asarray(padded)])
