"""Are image files whole? Cheap marks for all of them, decoding where those are in doubt. No torch."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from PIL import Image as Pillow

from flatqat.data.imagenet.files import SHOWN, Images
from flatqat.errors import DataError

END_OF_JPEG = b"\xff\xd9"
THREADS, CHUNK = 8, 512


def check_whole(images: Images, *, most: int) -> int:
    """Look at `most` files spread over the set and return how many those were.

    A file that does not end as a JPEG does is decoded: there are good ones with other bytes at their end.
    Raises DataError, naming the first of those that are empty or cut off.
    """
    paths = [images.paths[at] for at in spread(len(images), most)]
    chunks = [paths[start : start + CHUNK] for start in range(0, len(paths), CHUNK)]
    with ThreadPoolExecutor(THREADS) as pool:
        damaged = [path for found in pool.map(_damaged, chunks) for path in found]
    if damaged:
        more = f" and {len(damaged) - SHOWN} more" if len(damaged) > SHOWN else ""
        raise DataError(
            f"{images.folder}: expected whole images, got {len(damaged)} that are empty, cut off or damaged "
            f"({', '.join(damaged[:SHOWN])}{more}); restore them from their source"
        )
    return len(paths)


def check_decode(images: Images, *, most: int, side: int | None = None) -> int:
    """Decode `most` images spread over the set and return how many those were.

    Raises DataError, naming the file, on one that does not decode and, with `side`, on another size.
    """
    index = spread(len(images), most)
    for at in index:
        path = images.paths[at]
        size = _decoded_size(path)
        if size is None:
            raise DataError(f"{path}: expected an image, got a file that does not decode; restore it")
        if side and size != (side, side):
            raise DataError(
                f"{path}: expected an image of {side}x{side}, got {size[0]}x{size[1]}; "
                "use the original files, not resized ones"
            )
    return len(index)


def spread(count: int, most: int) -> list[int]:
    """At most `most` places, evenly over `count`, the first and the last among them."""
    return sorted({int(at) for at in np.linspace(0, count - 1, min(count, most))})


def _damaged(paths: Sequence[str]) -> list[str]:
    return [path for path in paths if not _ends_well(path) and _decoded_size(path) is None]


def _ends_well(path: str) -> bool:
    with open(path, "rb") as file:
        if file.seek(0, 2) < len(END_OF_JPEG):
            return False
        file.seek(-len(END_OF_JPEG), 2)
        return file.read() == END_OF_JPEG


def _decoded_size(path: str) -> tuple[int, int] | None:
    """Width and height; None for what does not decode."""
    try:
        with Pillow.open(path) as image:
            image.load()
            return image.size
    except Exception:  # Pillow raises a dozen types on damaged bytes
        return None
