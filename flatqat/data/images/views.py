"""Transforms of decoded images: the fixed crop of evaluation and the random one of training.

Both equal torchvision's transforms on Pillow images to the pixel: `Resize` and `CenterCrop`, and
`RandomResizedCrop`. Random crops depend on the seed and the image's id, not on the order of decoding.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import exp, log, sqrt

import numpy as np
from PIL.Image import Image, Resampling

from flatqat.data.images.encoded import Pixels
from flatqat.spec import EvalTransform, Interpolation

TRIES = 10
WidthHeight = tuple[int, int]
"""Width and height in pixels."""


def pillow_resize(image: Image, size: WidthHeight, interpolation: Interpolation) -> Image:
    """Resize an image with Pillow."""
    return image.resize(size, Resampling[interpolation.upper()])


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalCrop:
    """The transform that `frame` describes; an image smaller than the crop gets a black border.

    Attributes:
        frame: The sizes and the filter.
        resize: Resizes an image to a size with a filter.
        whole: Rounds the length of the longer side to an integer.
        moved: By how many pixels the crop lies further to the right and down, as far as the image goes.
    """

    frame: EvalTransform
    resize: Callable[[Image, WidthHeight, Interpolation], Image] = pillow_resize
    whole: Callable[[float], int] = int
    moved: int = 0

    def __call__(self, image: Image, _: int) -> Pixels:
        """Return the pixels that a network sees, uint8 (crop, crop, 3)."""
        size, crop = self._size(image.size), self.frame.crop
        if size != image.size:
            image = self.resize(image, size, self.frame.interpolation)
        if size != (crop, crop):
            left, top = map(self._start, size)
            image = image.crop((left, top, left + crop, top + crop))
        return np.asarray(image)

    def _size(self, size: WidthHeight) -> WidthHeight:
        (width, height), short = size, self.frame.resize
        if self.frame.squash:
            return short, short
        if width <= height:
            return short, self.whole(short * height / width)
        return self.whole(short * width / height), short

    def _start(self, side: int) -> int:
        room = side - self.frame.crop
        return min(max(round(room / 2) + self.moved, 0), room) if room >= 0 else -(-room // 2)


def eval_crop(frame: EvalTransform) -> EvalCrop:
    """Return the transform that `frame` describes."""
    return EvalCrop(frame=frame)


def random_resized_crop(
    frame: EvalTransform, seed: int, *, area: tuple[float, float], flip: bool = True
) -> Callable[[Image, int], Pixels]:
    """Return the transform that cuts a random window, resizes it to the crop and mirrors half of the images.

    The window's share of the image is uniform on `area`, the logarithm of its aspect ratio uniform between
    those of 3/4 and 4/3; after ten windows that do not fit, the largest central one is used. Source: Szegedy
    et al. 2015 (arXiv 1409.4842), section 6, with torchvision's defaults.
    """
    return partial(_random_cut, frame, seed, area, flip)


def _random_cut(
    frame: EvalTransform, seed: int, area: tuple[float, float], flip: bool, image: Image, image_id: int
) -> Pixels:
    rng = np.random.Generator(np.random.PCG64([seed, image_id]))
    left, top, width, height = _window(image.size, area, rng)
    box = (left, top, left + width, top + height)
    pixels = np.asarray(pillow_resize(image.crop(box), (frame.crop, frame.crop), frame.interpolation))
    return pixels[:, ::-1] if flip and rng.random() < 0.5 else pixels


def _window(
    size: WidthHeight, area: tuple[float, float], rng: np.random.Generator
) -> tuple[int, int, int, int]:
    """Return left, top, width and height in pixels."""
    whole_width, whole_height = size
    for _ in range(TRIES):
        pixels = whole_width * whole_height * rng.uniform(*area)
        ratio = exp(rng.uniform(log(3 / 4), log(4 / 3)))
        width, height = round(sqrt(pixels * ratio)), round(sqrt(pixels / ratio))
        if 0 < width <= whole_width and 0 < height <= whole_height:
            left = int(rng.integers(whole_width - width + 1))
            return left, int(rng.integers(whole_height - height + 1)), width, height
    width = min(whole_width, round(whole_height * 4 / 3))
    height = min(whole_height, round(whole_width * 4 / 3))
    return (whole_width - width) // 2, (whole_height - height) // 2, width, height
