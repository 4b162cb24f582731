"""Are the files of a set whole, and do some of them decode? No torch."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from flatqat.data.imagenet.files import SHOWN, Images
from flatqat.data.images.integrity import decoded_size, is_damaged, spread
from flatqat.errors import DataError

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
        size = decoded_size(path)
        if size is None:
            raise DataError(f"{path}: expected an image, got a file that does not decode; restore it")
        if side and size != (side, side):
            raise DataError(
                f"{path}: expected an image of {side}x{side}, got {size[0]}x{size[1]}; "
                "use the original files, not resized ones"
            )
    return len(index)


def _damaged(paths: Sequence[str]) -> list[str]:
    return [path for path in paths if is_damaged(path)]
