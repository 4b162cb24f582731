"""Are street scenes with label maps on disk whole and right? Seconds; no torch.

Counts and counterparts of all files; that they are whole and of one size, by their headers, of `MOST_OPENED`
spread over the set; and the values of a few label maps.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from flatqat.data.images.checks import look, refused
from flatqat.data.images.encoded import decoded
from flatqat.data.images.integrity import ends_well, spread
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
from flatqat.data.streets.listed import SHOWN, Listed
from flatqat.errors import DataError
from flatqat.finding import Finding
from flatqat.spec import IGNORED

MOST_OPENED, MAPS = 600, 8


def verify_part(
    listing: Callable[[], Listed],
    *,
    count: int | None,
    classes: int,
    lut: NDArray[np.uint8] | None = None,
) -> list[Finding]:
    """Whether one part of a set is there, whole and labelled with train ids; `count` is the published one."""
    try:
        part = listing()
    except DataError as error:
        return [refused(error)]
    return [
        counted(part, count),
        look(partial(_files, part)),
        look(partial(_labels, part, classes, lut)),
    ]


def counted(part: Listed, count: int | None) -> Finding:
    """Partial where images or label maps are missing, wrong where there are more than were published."""
    what = f"{part.title}: {len(part):,}{f' of {count:,}' if count else ''} images with label maps"
    if part.unlabelled:
        lacking = ", ".join(part.unlabelled[:SHOWN]) + ", ..." * (len(part.unlabelled) > SHOWN)
        what += f", {len(part.unlabelled):,} images without one are left out ({lacking})"
    if count and len(part) > count:
        return Finding(ok=False, what=what, fix="remove what is not of the original")
    if part.unlabelled or (count and len(part) < count):
        mend = "complete the copy before its numbers stand beside those of others"
        return Finding(ok=False, partial=True, what=what, fix=mend)
    return Finding(ok=True, what=what)


def _files(part: Listed) -> str:
    """Raise DataError on a damaged file, a map of another size than its image, and images of other sizes."""
    places = spread(len(part), MOST_OPENED)
    first = part.images[places[0]]
    size = _size(Path(first))
    for at in places:
        image, mask = part.images[at], part.masks[at]
        here = _size(Path(image))
        check_fits(image, here, mask, _size(Path(mask)))
        check_one_size(part.title, first, size, image, here)
    return f"{part.title}: {len(places):,} pairs opened, all whole, {size_text(size)}"


def _size(path: Path) -> tuple[int, int]:
    """Width and height; files that do not end as images do are decoded to see."""
    whole = ends_well(path)
    return decoded(path, lambda image: image.size if whole else _loaded(image))


def _loaded(image: Pillow.Image) -> tuple[int, int]:
    image.load()
    return image.size


def _labels(part: Listed, classes: int, lut: NDArray[np.uint8] | None) -> str:
    """Raise DataError on values that are no train ids, with the cause."""
    places, seen = spread(len(part), MAPS), set[int]()
    for at in places:
        path = Path(part.masks[at])

        def values(image: Pillow.Image, name: str = path.name) -> list[int]:
            found = values_of(translated(label_map(image), lut))
            check_values(found, classes=classes, name=name)
            return found

        seen.update(decoded(path, values))
    try:
        check_together(seen, maps=len(places), classes=classes)
    except DataError as error:
        raise DataError(f"{part.title}: {error}") from error
    labels = len(seen - {IGNORED})
    return f"{part.title}: {len(places)} label maps hold {labels} of {classes} classes, train ids"
