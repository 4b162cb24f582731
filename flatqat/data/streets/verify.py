"""Are street scenes with label maps on disk complete and correct? Takes seconds and imports no torch.

Checks the number and the pairing of all files, whether files are complete and of one size (from the headers
of `MOST_OPENED` files spread over the dataset), and the values of a few label maps.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from flatqat.data.images.checks import finding_of, run_check
from flatqat.data.images.encoded import decode_file
from flatqat.data.images.integrity import has_image_ending, spread_indices
from flatqat.data.images.label_maps import (
    check_fits,
    check_one_size,
    check_together,
    check_values,
    label_map,
    size_text,
    translated,
    values_of,
)
from flatqat.data.streets.listing import Listing
from flatqat.errors import DataError, listed
from flatqat.finding import Finding
from flatqat.spec import IGNORED

MOST_OPENED, MAPS = 600, 8


def verify_part(
    listing: Callable[[], Listing], *, count: int | None, classes: int, lut: NDArray[np.uint8] | None = None
) -> list[Finding]:
    """Check whether one part of a dataset is there, complete and labelled with train ids.

    Args:
        listing: Lists the part.
        count: The published number of images, if there is one.
        classes: The number of classes.
        lut: Translates stored labels to train ids.
    """
    try:
        part = listing()
    except DataError as error:
        return [finding_of(error)]
    return [
        counted(part, count),
        run_check(partial(_files, part)),
        run_check(partial(_labels, part, classes, lut)),
    ]


def counted(part: Listing, count: int | None) -> Finding:
    """Compare the number of images with the published one: fewer is partial, more is bad."""
    what = f"{part.title}: {len(part):,}{f' of {count:,}' if count else ''} images with label maps"
    if part.unlabelled:
        what += f", {len(part.unlabelled):,} images without one are left out ({listed(part.unlabelled, 3)})"
    if count and len(part) > count:
        return Finding(ok=False, what=what, fix="remove the files that are not in the original")
    if part.unlabelled or (count and len(part) < count):
        fix = "complete the copy before comparing its numbers with others"
        return Finding(ok=False, partial=True, what=what, fix=fix)
    return Finding(ok=True, what=what)


def _files(part: Listing) -> str:
    """Raise DataError if a file is damaged, a map differs in size from its image, or images differ."""
    places = spread_indices(len(part), MOST_OPENED)
    first = part.images[places[0]]
    size = _size(Path(first))
    for index in places:
        image, mask = part.images[index], part.masks[index]
        image_size = _size(Path(image))
        check_fits(image, image_size, mask, _size(Path(mask)))
        check_one_size(part.title, first, size, image, image_size)
    return f"{part.title}: {len(places):,} pairs opened, all complete, {size_text(size)}"


def _size(path: Path) -> tuple[int, int]:
    """Return width and height; a file that does not end as images do is decoded to be sure."""
    complete = has_image_ending(path)
    return decode_file(path, lambda image: image.size if complete else _loaded(image))


def _loaded(image: Pillow.Image) -> tuple[int, int]:
    image.load()
    return image.size


def _labels(part: Listing, classes: int, lut: NDArray[np.uint8] | None) -> str:
    """Raise DataError, with the cause, if values are not train ids."""
    places, distinct = spread_indices(len(part), MAPS), set[int]()
    for index in places:
        path = Path(part.masks[index])

        def values(image: Pillow.Image, name: str = path.name) -> list[int]:
            values_found = values_of(translated(label_map(image), lut))
            check_values(values_found, classes=classes, name=name)
            return values_found

        distinct.update(decode_file(path, values))
    try:
        check_together(distinct, maps=len(places), classes=classes)
    except DataError as error:
        raise DataError(f"{part.title}: {error}") from error
    labels = len(distinct - {IGNORED})
    return f"{part.title}: {len(places)} label maps hold {labels} of {classes} classes, train ids"
