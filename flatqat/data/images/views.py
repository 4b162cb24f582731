"""Transforms of decoded images: the fixed crop of evaluation and the random one of training.

Both equal torchvision's transforms on Pillow images to the pixel: `Resize` and `CenterCrop`, and
`RandomResizedCrop`. Random crops depend on the seed and the image's id, not on the order of decoding.
"""

from collections.abc import Callable
from functools import partial
from math import exp, log, sqrt

import numpy as np
from PIL.Image import Image, Resampling

from flatqat.data.images.encoded import Pixels
from flatqat.spec import EvalTransform

TRIES = 10
Size = tuple[int, int]
"""Width and height in pixels."""


def eval_crop(frame: EvalTransform) -> Callable[[Image, int], Pixels]:
    """Return the transform that `frame` describes; an image smaller than the crop gets a black border."""
    return partial(_cut, frame)


def random_resized_crop(
    frame: EvalTransform, seed: int, *, area: tuple[float, float], flip: bool = True
) -> Callable[[Image, int], Pixels]:
    """Return the transform that cuts a random window, resizes it to the crop and mirrors half of the images.

    The window's share of the image is uniform on `area`, the logarithm of its aspect ratio uniform between
    those of 3/4 and 4/3; after ten windows that do not fit, the largest central one is used. Source: Szegedy
    et al. 2015 (arXiv 1409.4842), section 6, with torchvision's defaults.
    """
    return partial(_random_cut, frame, seed, area, flip)


def _cut(frame: EvalTransform, image: Image, _: int) -> Pixels:
    width, height = image.size
    if frame.squash:
        size = (frame.resize, frame.resize)
    elif width <= height:
        size = (frame.resize, int(frame.resize * height / width))
    else:
        size = (int(frame.resize * width / height), frame.resize)
    if size != image.size:
        image = image.resize(size, _resampling(frame))
    left, top = (
        round((side - frame.crop) / 2) if side >= frame.crop else -((frame.crop - side) // 2) for side in size
    )
    if size != (frame.crop, frame.crop):
        image = image.crop((left, top, left + frame.crop, top + frame.crop))
    return np.asarray(image)


def _random_cut(
    frame: EvalTransform, seed: int, area: tuple[float, float], flip: bool, image: Image, image_id: int
) -> Pixels:
    rng = np.random.Generator(np.random.PCG64([seed, image_id]))
    left, top, width, height = _window(image.size, area, rng)
    box = (left, top, left + width, top + height)
    pixels = np.asarray(image.crop(box).resize((frame.crop, frame.crop), _resampling(frame)))
    return pixels[:, ::-1] if flip and rng.random() < 0.5 else pixels


def _window(size: Size, area: tuple[float, float], rng: np.random.Generator) -> tuple[int, int, int, int]:
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


def _resampling(frame: EvalTransform) -> Resampling:
    return Resampling[frame.interpolation.upper()]
