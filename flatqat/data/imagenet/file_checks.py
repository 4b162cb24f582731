"""Are the files of a dataset complete, and do some of them decode? Imports no torch."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

from flatqat.data.imagenet.files import Images
from flatqat.data.images.encoded import check_side, decode_file, to_rgb
from flatqat.data.images.integrity import is_damaged, spread_indices
from flatqat.errors import DataError, listed

if TYPE_CHECKING:
    from PIL.Image import Image

THREADS, CHUNK = 8, 512


def check_complete(images: Images, *, most: int) -> int:
    """Check `most` files spread over the dataset, and return how many were checked.

    A file that does not end as a JPEG does is decoded, because some good files have other bytes at the end.

    Raises DataError if a run could not read files; its message lists the first few.
    """
    paths = [images.paths[index] for index in spread_indices(len(images), most)]
    chunks = [paths[start : start + CHUNK] for start in range(0, len(paths), CHUNK)]
    with ThreadPoolExecutor(THREADS) as pool:
        damaged = [path for in_chunk in pool.map(_damaged, chunks) for path in in_chunk]
    if damaged:
        got = f"{len(damaged):,} that are empty, cut off, damaged or of more than 8 bits a channel"
        fix = "restore them from their source"
        raise DataError(f"{images.folder}: expected complete images, got {got} ({listed(damaged)}); {fix}")
    return len(paths)


def check_decodable(images: Images, *, most: int, side: int | None = None) -> int:
    """Decode `most` images spread over the dataset, and return how many.

    Raises DataError if a file does not decode or, with `side`, has another size.
    """
    indices = spread_indices(len(images), most)
    for index in indices:
        decode_file(images.paths[index], partial(_decoded, side=side))
    return len(indices)


def _decoded(image: "Image", side: int | None) -> None:
    size = to_rgb(image).size
    if side:
        check_side(*size, side)


def _damaged(paths: Sequence[str]) -> list[str]:
    return [path for path in paths if is_damaged(path)]
