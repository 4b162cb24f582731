"""Validation images that were corrupted once and stored, 224x224 each, paired with the clean ones.

    <set>/<corruption>/<severity>/<wnid>/<image>, perhaps with a group such as noise/ above the corruption

The images used, clean and corrupted, are those that the first corruption has at severity 1: all 50,000, or
the part that a smaller copy holds. Every other corruption and severity must have them too, so that image i is
the same everywhere. Corrupted images are used as stored, neither resized nor cropped.
"""

import re
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from flatqat.data.corruptions.names import SEVERITIES
from flatqat.data.imagenet import clean
from flatqat.data.imagenet.files import Images, in_class_folders
from flatqat.data.imagenet.locate import find_set
from flatqat.data.imagenet.names import SIDE, CorruptedSet
from flatqat.data.images.data_root import contents
from flatqat.data.images.entries import folder_names, has_folder
from flatqat.errors import DataError, listed

if TYPE_CHECKING:
    from flatqat.data.tensors.image_data import ImageData

_NUMBER = re.compile(r"\d+(\.\d+)?")


def uncorrupted(root: Path | None, dataset: CorruptedSet) -> "ImageData":
    """Load the clean images that have corrupted copies."""
    return clean_images(root, dataset).load()


def corrupted(root: Path | None, dataset: CorruptedSet, *, corruption: str, severity: int) -> "ImageData":
    """Load copies of the images of `uncorrupted`, in its order. Raises DataError if one is missing."""
    return images(root, dataset, corruption, severity).load(side=SIDE)


@lru_cache(maxsize=8)
def clean_images(root: Path | None, dataset: CorruptedSet) -> Images:
    """List the images of `uncorrupted` without loading them. Imports no torch."""
    validation = clean.scored_images(root)
    first = in_class_folders(severity_folder(find(root, dataset), dataset, next(iter(dataset.families)), 1))
    if np.array_equal(validation.ids, first.ids):
        return validation
    both = validation.take(np.flatnonzero(np.isin(validation.ids, first.ids)))
    if not len(both):
        raise DataError(
            f"{first.folder}: expected the images of {validation.folder} under their own names, got none of "
            "them; use copies of one set of images, both with their original names"
        )
    return both


def images(root: Path | None, dataset: CorruptedSet, corruption: str, severity: int) -> Images:
    """List one corruption at one severity. Imports no torch."""
    listing = in_class_folders(severity_folder(find(root, dataset), dataset, corruption, severity))
    pair = clean_images(root, dataset)
    if not np.array_equal(listing.ids, pair.ids):
        ids, place = pair.ids.tolist(), {image: index for index, image in enumerate(listing.ids.tolist())}
        if missing := [name for name, image in zip(pair.names, ids, strict=True) if image not in place]:
            raise DataError(
                f"{listing.folder}: expected the {len(pair):,} images of {pair.folder} that "
                f"{next(iter(dataset.families))}/1 has, got none for {len(missing):,} of them: "
                f"{listed(missing)}; complete the copy"
            )
        listing = listing.take(np.array([place[image] for image in ids]))
    if len(wrong := np.flatnonzero(listing.labels != pair.labels)):
        raise DataError(
            f"{listing.folder}/{listing.names[wrong[0]]}: expected the class of {pair.folder}/"
            f"{pair.names[wrong[0]]}, got another; use the original folders of both"
        )
    return listing


@lru_cache(maxsize=8)
def find(root: Path | None, dataset: CorruptedSet) -> Path:
    """Return the dataset's folder. Raises DataError if there is none."""
    return find_set(root, dataset, lambda folder: any(_places(folder, dataset)))


def missing_corruptions(root: Path | None, dataset: CorruptedSet, family: str) -> frozenset[str]:
    """Return the corruptions of a family that are not on disk at all."""
    try:
        folder = find(root, dataset)
    except DataError:
        return frozenset()
    present = {place.name for place in _places(folder, dataset)}
    return frozenset(name for name, of in dataset.families.items() if of == family and name not in present)


def severity_folder(folder: Path, dataset: CorruptedSet, corruption: str, severity: int) -> Path:
    """Return a severity's folder. Raises DataError if the corruption or one of its severities is missing."""
    place = next((candidate for candidate in _places(folder, dataset) if candidate.name == corruption), None)
    if place is None:
        above = [f"{group}/" for group in dataset.groups if dataset.families[corruption] == group]
        archive = next((path for group in dataset.groups for path in folder.glob(f"{group}.tar*")), None)
        fix = f"unpack {archive}" if archive else "unpack all of the set's archives"
        expected = f"a folder {''.join(above)}{corruption}/ or {corruption}/"
        raise DataError(f"{folder}: expected {expected}, got {contents(folder)}; {fix}")
    return place / _severities(place)[severity]


@lru_cache(maxsize=64)
def _severities(place: Path) -> dict[int, str]:
    """Map severities to folders: 1 to 5, or five ascending numbers of its own, such as `2.35`."""
    names = sorted((name for name in folder_names(place) if _NUMBER.fullmatch(name)), key=float)
    if len(names) != len(SEVERITIES):
        got = ", ".join(names) or contents(place)
        raise DataError(f"{place}: expected five folders of severities, 1 to 5, got {got}; complete the copy")
    return dict(zip(SEVERITIES, names, strict=True))


def _places(folder: Path, dataset: CorruptedSet) -> list[Path]:
    """Return the folders of the corruptions that exist, directly or in a group."""
    above = (folder, *(folder / group for group in dataset.groups))
    inside = [(folder, set(folder_names(folder))) for folder in above if has_folder(folder)]
    return [folder / name for folder, names in inside for name in dataset.families if name in names]
