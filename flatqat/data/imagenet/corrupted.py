"""Validation images that were corrupted once and stored, 224x224 each, paired with the clean ones.

    <set>/<corruption>/<severity>/<wnid>/<image>, where a group such as noise/ may stand above the corruption

What is shown, clean and corrupted, are the clean images that the first corruption has at severity 1: all
50,000, or the part that a smaller copy holds. Every other corruption and severity must have them too, so
that image i is the same one everywhere. Corrupted images are shown as they are stored, neither resized nor
cut.
"""

import os
import re
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from flatqat.data.corruptions.names import SEVERITIES
from flatqat.data.imagenet import clean
from flatqat.data.imagenet.files import SHOWN, Images, folder_names, in_class_folders
from flatqat.data.imagenet.names import SIDE, CorruptedSet
from flatqat.data.imagenet.places import find_set
from flatqat.data.images.data_root import contents
from flatqat.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

    from flatqat.data.images.encoded import Pixels
    from flatqat.data.images.image_data import ImageData

_NUMBER = re.compile(r"\d+(\.\d+)?")


def uncorrupted(root: Path | None, dataset: CorruptedSet) -> "ImageData":
    """The clean images of which there are corrupted ones."""
    return shown(root, dataset).load()


def corrupted(root: Path | None, dataset: CorruptedSet, *, corruption: str, severity: int) -> "ImageData":
    """The images of `uncorrupted` in the same order, corrupted, as they are stored.

    Raises DataError when the folder or one of the images is missing.
    """
    return images(root, dataset, corruption, severity).load(_as_stored)


@lru_cache(maxsize=8)
def shown(root: Path | None, dataset: CorruptedSet) -> Images:
    """As `uncorrupted`, not to be decoded yet. No torch."""
    whole = clean.scored_images(root)
    first = in_class_folders(severity_folder(find(root, dataset), dataset, next(iter(dataset.families)), 1))
    if np.array_equal(whole.ids, first.ids):
        return whole
    both = whole.take(np.flatnonzero(np.isin(whole.ids, first.ids)))
    if not len(both):
        raise DataError(
            f"{first.folder}: expected the images of {whole.folder} under their own names, got none of them; "
            "use copies of one set of images, both with their original names"
        )
    return both


def images(root: Path | None, dataset: CorruptedSet, corruption: str, severity: int) -> Images:
    """One corruption at one severity. No torch."""
    found = in_class_folders(severity_folder(find(root, dataset), dataset, corruption, severity))
    pair = shown(root, dataset)
    if not np.array_equal(found.ids, pair.ids):
        order = np.argsort(found.ids)
        at = np.minimum(np.searchsorted(found.ids, pair.ids, sorter=order), len(order) - 1)
        index = order[at]
        lacking = np.flatnonzero(found.ids[index] != pair.ids)
        if len(lacking):
            raise DataError(
                f"{found.folder}: expected the {len(pair):,} images of {pair.folder} that "
                f"{next(iter(dataset.families))}/1 has, lacks {len(lacking):,} "
                f"({', '.join(pair.names[one] for one in lacking[:SHOWN])}); complete the copy"
            )
        found = found.take(index)
    if len(wrong := np.flatnonzero(found.labels != pair.labels)):
        raise DataError(
            f"{found.folder}/{found.names[wrong[0]]}: expected the class of {pair.folder}/"
            f"{pair.names[wrong[0]]}, got another; use the original folders of both"
        )
    return found


@lru_cache(maxsize=8)
def find(root: Path | None, dataset: CorruptedSet) -> Path:
    """The folder of the set. Raises DataError when there is none."""
    return find_set(root, dataset, lambda folder: any(_places(folder, dataset)))


def missing_corruptions(root: Path | None, dataset: CorruptedSet, family: str) -> frozenset[str]:
    """The corruptions of a family that are not on disk at all."""
    try:
        folder = find(root, dataset)
    except DataError:
        return frozenset()
    there = {place.name for place in _places(folder, dataset)}
    return frozenset(name for name, of in dataset.families.items() if of == family and name not in there)


def severity_folder(folder: Path, dataset: CorruptedSet, corruption: str, severity: int) -> Path:
    """Raises DataError when the corruption or one of its five severities is missing."""
    place = next((one for one in _places(folder, dataset) if one.name == corruption), None)
    if place is None:
        above = [f"{group}/" for group in dataset.groups if dataset.families[corruption] == group]
        archive = next((path for group in dataset.groups for path in folder.glob(f"{group}.tar*")), None)
        mend = f"unpack {archive}" if archive else "unpack all of the set's archives"
        raise DataError(
            f"{folder}: expected a folder {''.join(above)}{corruption}/ or {corruption}/, "
            f"got {contents(folder)}; {mend}"
        )
    return place / _severities(place)[severity]


@lru_cache(maxsize=64)
def _severities(place: Path) -> dict[int, str]:
    """Severity -> name of its folder: 1 to 5, or five numbers of the corruption's own (`2.35`), ascending."""
    names = sorted((name for name in folder_names(place) if _NUMBER.fullmatch(name)), key=float)
    if len(names) != len(SEVERITIES):
        raise DataError(
            f"{place}: expected five folders of severities, 1 to 5, "
            f"got {', '.join(names) or contents(place)}; complete the copy"
        )
    return dict(zip(SEVERITIES, names, strict=True))


def _places(folder: Path, dataset: CorruptedSet) -> list[Path]:
    """The corruptions' folders that are there, directly or in a group."""
    above = (folder, *(folder / group for group in dataset.groups))
    inside = [(one, set(os.listdir(one))) for one in above if one.is_dir()]
    return [one / name for one, names in inside for name in dataset.families if name in names]


def _as_stored(image: "Image", _: int) -> "Pixels":
    if image.size != (SIDE, SIDE):
        raise DataError(
            f"expected an image of {SIDE}x{SIDE}, got {image.width}x{image.height}; "
            "use the original files, not resized ones"
        )
    return np.asarray(image)
