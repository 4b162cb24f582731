"""Is an image file whole? By its end, which is cheap; where that leaves a doubt, by decoding. No torch."""

from pathlib import Path

import numpy as np

TAIL = 16  # bytes: there are good files with a few others at their end
ENDINGS = (b"\xff\xd9", b"IEND\xaeB`\x82")  # of JPEG and PNG files


def ends_well(path: Path | str) -> bool:
    """Whether the file ends as images do."""
    with open(path, "rb") as file:
        file.seek(max(0, file.seek(0, 2) - TAIL))
        tail = file.read()
    return any(ending in tail for ending in ENDINGS)


def decoded_size(path: Path | str) -> tuple[int, int] | None:
    """Width and height of an image, after decoding all of it; None for what does not decode."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            image.load()
            return image.size
    except Exception:  # Pillow raises a dozen types on damaged bytes
        return None


def is_damaged(path: Path | str) -> bool:
    """Whether the file is empty, cut off or no image."""
    return not ends_well(path) and decoded_size(path) is None


def spread(count: int, most: int) -> list[int]:
    """At most `most` places, evenly over `count`, the first and the last among them."""
    return sorted({int(at) for at in np.linspace(0, count - 1, min(count, most))})
