"""Labelled images as they lie on disk, decoded one by one. No torch."""

from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from flatqat.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

Pixels = NDArray[np.uint8]
T = TypeVar("T")


def decode_image(content: bytes, name: str) -> Pixels:
    """The PNG or JPEG file `content` as uint8 RGB (H, W, 3). Raises DataError, naming the image."""
    from PIL import Image

    try:
        with Image.open(BytesIO(content)) as image:
            return np.asarray(image.convert("RGB"))
    except Exception as error:  # Pillow raises a dozen types on damaged bytes
        reason = "no image" if type(error).__name__ == "UnidentifiedImageError" else error
        raise DataError(
            f"{name}: expected a PNG or JPEG image, got {len(content)} bytes that do not decode ({reason}); "
            "restore the file from its source"
        ) from error


def decoded(path: Path, work: "Callable[[Image], T]") -> T:
    """What `work` makes of an opened image. Raises DataError, naming the file: damaged, or refused by it."""
    from PIL import Image as Pillow

    try:
        with Pillow.open(path) as image:
            return work(image)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    except Exception as error:  # Pillow raises a dozen types on damaged bytes
        reason = "no image" if type(error).__name__ == "UnidentifiedImageError" else error
        raise DataError(
            f"{path}: expected an image, got a file that does not decode ({reason}); "
            "restore it from its source"
        ) from error


def in_rgb(image: "Image") -> "Image":
    """An opened image in RGB. Raises DataError on grey levels of more than 8 bits, which would be clipped."""
    if image.mode.startswith(("I", "F")):
        raise DataError(
            f"expected an image of 8 bits a channel, got mode {image.mode}; use the image as it was published"
        )
    return image.convert("RGB")


@dataclass(frozen=True, slots=True)
class Stored:
    """N labelled images in a fixed order.

    `labels` is int64 of shape (N,), `content(i)` the bytes that stand for image i, `name(i)` what errors
    call it, and `decode` turns the two into uint8 (H, W, 3). `where` says which files these are.
    """

    where: str
    labels: NDArray[np.int64]
    content: Callable[[int], bytes]
    name: Callable[[int], str]
    decode: Callable[[bytes, str], Pixels] = decode_image

    def __len__(self) -> int:
        return len(self.labels)

    def image(self, at: int, side: int) -> Pixels:
        """Image `at` as uint8 (side, side, 3). Raises DataError when it is damaged or of another size."""
        pixels = self.decode(self.content(at), self.name(at))
        if pixels.shape != (side, side, 3):
            height, width = pixels.shape[:2]
            raise DataError(
                f"{self.name(at)}: expected an image of {side}x{side}, got {width}x{height}; "
                "use the original images, not resized ones"
            )
        return pixels

    def pixels(self, side: int) -> Pixels:
        """Every image, as uint8 (N, 3, side, side). Raises DataError as `image` does."""
        out = np.empty((len(self), 3, side, side), np.uint8)
        for at in range(len(self)):
            out[at] = self.image(at, side).transpose(2, 0, 1)
        return out
