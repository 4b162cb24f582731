"""Are street scenes with label maps on disk complete and correct? Takes seconds and imports no torch.

Checks the number and the pairing of all files, whether files are complete and of one size (from the headers
of `MOST_OPENED` files spread over the dataset), and the values of a few label maps.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flatqat.data.images import label_maps
from flatqat.data.images.checks import finding_of, run_check
from flatqat.data.images.encoded import decode_file
from flatqat.data.images.integrity import image_size, spread_indices
from flatqat.data.streets.listing import Listing
from flatqat.errors import DataError, listed
from flatqat.finding import Finding
from flatqat.spec import IGNORED

MOST_OPENED, MAPS = 600, 8


def verify_part(
    listing: Callable[[], Listing], *, count: int | None, classes: int, lut: NDArray[np.uint8] | None = None
) -> list[Finding]:
    """Check whether one part of a dataset is there, complete and labeled with train ids.

    `count` is the published number of images, if there is one; `lut` translates stored labels to train ids.
    """
    try:
        part = listing()
    except DataError as error:
        return [finding_of(error)]
    findings = [counted(part, count), run_check(lambda: _files(part))]
    return [*findings, run_check(lambda: _labels(part, classes, lut))] if findings[-1].ok else findings


def counted(part: Listing, count: int | None) -> Finding:
    """Compare the number of images with the published one: fewer is partial, more is bad."""
    what = f"{part.title}: {len(part):,}{f' of {count:,}' if count else ''} images with label maps"
    if part.unlabeled:
        what += f", {len(part.unlabeled):,} images without one are left out ({listed(part.unlabeled, 3)})"
    if count and len(part) > count:
        return Finding(ok=False, what=what, fix="remove the files that are not in the original")
    if part.unlabeled or (count and len(part) < count):
        fix = "complete the copy before comparing its numbers with others"
        return Finding(ok=False, partial=True, what=what, fix=fix)
    return Finding(ok=True, what=what)


def _files(part: Listing) -> str:
    """Raise DataError if a file is damaged, a map differs in size from its image, or images differ."""
    places = spread_indices(len(part), MOST_OPENED)
    first = part.images[places[0]]
    size = image_size(first)
    for image, mask in ((part.images[index], part.masks[index]) for index in places):
        own, of_mask = image_size(image), image_size(mask, label_maps.check_mode)
        label_maps.check_fits(image, own, mask, of_mask)
        label_maps.check_one_size(part.title, first, size, image, own)
    return f"{part.title}: {len(places):,} pairs opened, all complete, {label_maps.size_text(size)}"


def _labels(part: Listing, classes: int, lut: NDArray[np.uint8] | None) -> str:
    """Raise DataError, with the cause, if values are not train ids."""
    paths = [Path(part.masks[index]) for index in spread_indices(len(part), MAPS)]
    distinct = set[int]()
    for path in paths:
        labels = decode_file(path, partial(label_maps.train_ids, lut=lut, classes=classes, name=path.name))
        distinct.update(label_maps.values_of(labels))
    try:
        label_maps.check_together(distinct, maps=len(paths), classes=classes)
        if distinct == {IGNORED} and len(paths) == len(part):
            raise label_maps.nothing_scored(len(paths))
    except DataError as error:
        raise DataError(f"{part.title}: {error}") from error
    count = len(distinct - {IGNORED})
    return f"{part.title}: {len(paths)} label maps hold {count} of {classes} classes, train ids"
