"""Is an image file complete? Checks how it ends, which is cheap; decodes it if in doubt. Imports no torch."""

from pathlib import Path

import numpy as np

TAIL = 16  # bytes: some good files have a few others at the end
ENDINGS = (b"\xff\xd9", b"IEND\xaeB`\x82")  # of JPEG and PNG files


def has_image_ending(path: Path | str) -> bool:
    """Return whether the file ends as JPEG and PNG files do."""
    with open(path, "rb") as file:
        file.seek(max(0, file.seek(0, 2) - TAIL))
        tail = file.read()
    return any(ending in tail for ending in ENDINGS)


def decoded_size(path: Path | str) -> tuple[int, int] | None:
    """Decode an image and return its width and height, or None if it does not decode."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            image.load()
            return image.size
    except Exception:  # Pillow raises a dozen types on damaged bytes
        return None


def is_damaged(path: Path | str) -> bool:
    """Return whether the file is empty, cut off or no image."""
    return not has_image_ending(path) and decoded_size(path) is None


def spread_indices(count: int, most: int) -> list[int]:
    """Return at most `most` indices, spread evenly over `count`, including the first and the last."""
    return sorted({int(index) for index in np.linspace(0, count - 1, min(count, most))})
