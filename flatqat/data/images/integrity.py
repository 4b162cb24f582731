"""Is an image file complete? Checks how it ends, which is cheap; decodes it if in doubt. Imports no torch."""

import struct
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from flatqat.data.images.encoded import FORMATS, check_depth, decode_file
from flatqat.data.images.entries import check_regular, unreadable
from flatqat.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

TAIL = 16  # bytes: some good files have a few others at the end
JPEG, JPEG_END = b"\xff\xd8\xff", b"\xff\xd9"
PNG, PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"


def is_damaged(path: Path | str) -> bool:
    """Return whether a run cannot read the file: it is empty, cut off, no image or of more than 8 bits.

    A JPEG that begins and ends as such is not opened any further.
    """
    try:
        head, tail = _ends(path)
        if not (head == JPEG and JPEG_END in tail):
            image_size(path)
    except DataError:
        return True
    return False


def image_size(path: Path | str, check: "Callable[[Image], object]" = check_depth) -> tuple[int, int]:
    """Return width and height of an image that passes `check`; decode it unless it ends as images do.

    Raises DataError, which names the file.
    """
    tail = _ends(path)[1]
    complete = JPEG_END in tail or PNG_END in tail

    def size(image: "Image") -> tuple[int, int]:
        check(image)
        return image.size if complete else image.copy().size  # a copy is decoded

    return decode_file(path, size)


def looks_whole(content: bytes, side: int) -> bool:
    """Return whether content begins as an 8-bit PNG or JPEG of this width and height, and ends as one."""
    if content.startswith(PNG):
        return content[16:25] == struct.pack(">IIB", side, side, 8) and content.endswith(PNG_END)
    return content.startswith(JPEG) and content.endswith(JPEG_END) and _opened_size(content) == (side, side)


def spread_indices(count: int, most: int) -> list[int]:
    """Return at most `most` indices, spread evenly over `count`, including the first and the last."""
    return sorted({int(index) for index in np.linspace(0, count - 1, min(count, most))})


def _opened_size(content: bytes) -> tuple[int, int] | None:
    """Return width and height from the header, or None if there is none that Pillow reads."""
    from PIL import Image

    try:
        with Image.open(BytesIO(content), formats=FORMATS) as image:
            return image.size
    except Exception:  # Pillow raises a dozen types on damaged bytes
        return None


def _ends(path: Path | str) -> tuple[bytes, bytes]:
    """Return the first and the last bytes of a file."""
    check_regular(path)
    try:
        with open(path, "rb") as file:
            head = file.read(len(JPEG))
            file.seek(max(0, file.seek(0, 2) - TAIL))
            return head, file.read()
    except OSError as error:
        raise unreadable(error) from error
