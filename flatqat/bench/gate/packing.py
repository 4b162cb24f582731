"""Outcomes of images as short text: bits of right and wrong images, or counts of pixels, compressed.

What is read may come from a stranger. So the number of images says how large the data may become before
anything is decompressed, and the images of a whole file share one allowance.
"""

import base64
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flatqat.spec import FieldError

MOST_BYTES = 2**30  # of all outcomes of a file in memory; ImageNet-C has 4 MB a cell
MOST_CLASSES = 2**12
COUNT = np.dtype("<u4")
FORM = {"top1": "correct", "miou": "counts"}
"""What is packed of an image, by the metric that needs it."""


def pack(metric: str, outcomes: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    """Return the outcomes of shifts as texts under their form."""
    if FORM[metric] == "correct":
        return {"correct": {s: _text(np.packbits(right)) for s, right in outcomes.items()}}
    return {"counts": {s: _text(images.astype(COUNT)) for s, images in outcomes.items()}}


def unpacked(bits: NDArray[np.uint8], images: int) -> NDArray[np.bool_]:
    """Return whether each image is right, shape (..., images), from the bits of each row."""
    return np.unpackbits(bits, axis=-1, count=images).view(bool)


class Unpacker:
    """Unpacks the texts of one file, whose outcomes may take MOST_BYTES together."""

    def __init__(self) -> None:
        self._left = MOST_BYTES

    def bits(self, text: str, images: int) -> NDArray[np.uint8]:
        """Return in bits, for `unpacked`, whether each image is right. Raises FieldError on other text."""
        self._take(images, images)
        size = -(-images // 8)
        data = _inflated(text, size, images)
        if len(data) < size:
            raise FieldError(f"expected {size:,} bytes for {images:,} images, got {len(data):,}")
        return np.frombuffer(data, np.uint8)

    def counts(self, text: str, images: int) -> NDArray[np.int64]:
        """Return intersections and unions, shape (images, 2, classes). Raises FieldError on other text."""
        of_class = 2 * COUNT.itemsize * images
        self._take(2 * of_class, images)  # at least one class, in integers of 64 bits
        data = _inflated(text, min(MOST_CLASSES * of_class, of_class + self._left // 2), images)
        if not data or len(data) % of_class:
            raise FieldError(f"expected {of_class:,} bytes for each class, got {len(data):,}")
        self._take(2 * (len(data) - of_class), images)
        counts = np.frombuffer(data, COUNT).reshape(images, 2, -1).astype(np.int64)
        if (counts[:, 0] > counts[:, 1]).any():
            raise FieldError("expected intersections within their unions, got larger ones")
        return counts

    def _take(self, size: int, images: int) -> None:
        if images < 1 or size > self._left:
            most = f"that take {MOST_BYTES:,} bytes at most, with all others of the file"
            raise FieldError(f"expected one image or more {most}, got {images:,}")
        self._left -= size


def _text(array: NDArray[Any]) -> str:
    return base64.b64encode(zlib.compress(array.tobytes(), 9)).decode()


def _inflated(text: str, most: int, images: int) -> bytes:
    """Return the bytes in a text. Raises FieldError if they are damaged, or as soon as they exceed `most`."""
    inflater = zlib.decompressobj()
    try:
        data = inflater.decompress(base64.b64decode(text, validate=True), most + 1)
    except (ValueError, zlib.error) as error:
        raise FieldError(f"expected compressed outcomes, got damaged ones ({error})") from error
    if len(data) > most:
        raise FieldError(f"expected at most {most:,} bytes for {images:,} images, got more")
    if not inflater.eof:
        raise FieldError(f"expected compressed outcomes, got {len(data):,} bytes without an end")
    return data
