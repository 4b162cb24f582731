"""Labeled images in their encoded form, decoded one at a time. Imports no torch."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from flatqat.data.images import jpeg
from flatqat.data.images.entries import check_regular, unreadable
from flatqat.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

Pixels = NDArray[np.uint8]
T = TypeVar("T")
Decode = Callable[["Image"], "Image"]
"""From an opened image to the same one decoded as RGB, such as `to_rgb`."""
DEEP = re.compile(";16[BLN]")  # 16 bits a channel, as Pillow names it
LARGEST = 255
FORMATS = ("JPEG", "PNG", "BMP", "PPM", "TIFF", "WEBP", "GIF")
"""The only formats that are read, whatever a file is called: Pillow hands PostScript to another program."""


def decode_image(content: bytes, name: str) -> Pixels:
    """Decode PNG or JPEG bytes to uint8 RGB (H, W, 3). Raises DataError, which names the image."""
    from PIL import Image

    try:
        with Image.open(BytesIO(content), formats=FORMATS) as image:
            return rgb_pixels(image)
    except DataError as error:
        raise DataError(f"{name}: {error}") from error
    except MemoryError:
        raise
    except Exception as error:  # Pillow raises a dozen types on damaged bytes
        raise DataError(
            f"{name}: expected a PNG or JPEG image, got {len(content)} bytes that do not decode "
            f"({_reason(error)}); restore the file from its source"
        ) from error


def decode_file(path: Path | str, work: "Callable[[Image], T]") -> T:
    """Return `work(image)` of an image file. Raises DataError, which names the file, if either fails."""
    from PIL import Image as Pillow

    check_regular(path)
    try:
        with Pillow.open(path, formats=FORMATS) as image:
            return work(image)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    except MemoryError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno:
            raise unreadable(error) from error
        raise DataError(
            f"{path}: expected an image ({', '.join(FORMATS)}), got a file that does not decode "
            f"({_reason(error)}); restore it from its source"
        ) from error


def _reason(error: Exception) -> object:
    return "no image" if type(error).__name__ == "UnidentifiedImageError" else error


def to_rgb(image: "Image") -> "Image":
    """Convert to RGB as stored, whatever orientation the file names. Raises DataError as `check_depth`."""
    from PIL import Image as Pillow

    check_depth(image)
    pixels = jpeg.rgb_of(image)
    return image.convert("RGB") if pixels is None else Pillow.fromarray(pixels)


def rgb_pixels(image: "Image") -> Pixels:
    """Return the pixels of `to_rgb(image)`, uint8 (H, W, 3)."""
    check_depth(image)
    pixels = jpeg.rgb_of(image)
    return np.asarray(image.convert("RGB")) if pixels is None else pixels


def check_depth(image: "Image") -> None:
    """Raise DataError if there are more than 8 bits per channel, which would be clipped."""
    deep = image.mode.startswith(("I", "F"))
    if deep or _loses_bits(image):
        got = f"mode {image.mode}" if deep else f"{image.mode} of 16 bits"
        raise DataError(
            f"expected an image of 8 bits a channel, got {got}; use the image as it was published"
        )


def check_side(width: int, height: int, side: int) -> None:
    """Raise DataError unless an image is a square of a side."""
    if (width, height) != (side, side):
        fix = "use the original images, not resized ones"
        raise DataError(f"expected an image of {side}x{side}, got {width}x{height}; {fix}")


def _loses_bits(image: "Image") -> bool:
    """Whether Pillow would drop bits of an opened image: of the 16 bits of a channel it keeps 8.

    How it reads the file says so: `RGB;16B` of PNG and TIFF, or the largest value of PPM.
    """
    for codec, _, _, given in getattr(image, "tile", []):
        args = given if isinstance(given, tuple) else (given,)
        if any(isinstance(arg, str) and DEEP.search(arg) for arg in args):
            return True
        if codec == "ppm" and args[-1] > LARGEST:
            return True
    return False


@dataclass(frozen=True, slots=True)
class EncodedImages:
    """N labeled images in a fixed order.

    Attributes:
        source: The files they come from, for messages.
        labels: int64 (N,).
        content: Returns the encoded bytes of image i.
        name: Returns what errors call image i.
        decode: Turns content and name into uint8 pixels (H, W, 3).
    """

    source: str
    labels: NDArray[np.int64]
    content: Callable[[int], bytes]
    name: Callable[[int], str]
    decode: Callable[[bytes, str], Pixels] = decode_image

    def __len__(self) -> int:
        return len(self.labels)

    def image(self, index: int, side: int) -> Pixels:
        """Decode an image to uint8 (side, side, 3). Raises DataError if it is damaged or of another size."""
        pixels = self.decode(self.content(index), self.name(index))
        try:
            check_side(pixels.shape[1], pixels.shape[0], side)
        except DataError as error:
            raise DataError(f"{self.name(index)}: {error}") from error
        return pixels

    def pixels(self, side: int) -> Pixels:
        """Decode all images to uint8 (N, 3, side, side). Raises DataError as `image` does."""
        out = np.empty((len(self), 3, side, side), np.uint8)
        for index in range(len(self)):
            out[index] = self.image(index, side).transpose(2, 0, 1)
        return out
