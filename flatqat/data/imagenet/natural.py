"""Images of ImageNet's classes from other sources: ImageNet-R, -A, -Sketch, V2, drawings and silhouettes."""

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from flatqat.data.imagenet import classes
from flatqat.data.imagenet.files import Images, in_class_folders, labeled_folders
from flatqat.data.imagenet.locate import find_set
from flatqat.data.imagenet.names import NaturalSet
from flatqat.data.images.data_root import plain
from flatqat.errors import DataError, listed

if TYPE_CHECKING:
    from flatqat.data.tensors.image_data import ImageData


def shifted(root: Path | None, dataset: NaturalSet) -> "ImageData":
    """Load every image of the dataset."""
    return images(root, dataset).load()


def images(root: Path | None, dataset: NaturalSet) -> Images:
    """List the images of `shifted`. Raises DataError if the dataset is missing, or has other classes."""
    listing = in_class_folders(find(root, dataset), dataset.naming)
    if dataset.class_subset and len(other := np.setdiff1d(listing.labels, dataset.class_subset)):
        expected = f"the {len(dataset.class_subset)} classes of {dataset.title}"
        got = f"{len(other)} others ({listed([classes.wnids()[label] for label in other])})"
        raise DataError(f"{listing.folder}: expected {expected}, got {got}; use the original folder")
    return listing


@lru_cache(maxsize=16)
def find(root: Path | None, dataset: NaturalSet) -> Path:
    """Return the dataset's folder. Raises DataError if there is none."""
    return find_set(root, dataset, lambda folder: _looks_right(folder, dataset))


def is_missing(root: Path | None, dataset: NaturalSet) -> bool:
    """Return whether the dataset is not on disk at all."""
    try:
        find(root, dataset)
    except DataError:
        return True
    return False


def _looks_right(folder: Path, dataset: NaturalSet) -> bool:
    if dataset.naming == "sixteen" and plain(folder.name) not in dataset.folders:
        return False  # drawings and silhouettes have the same classes and files: folders tell them apart
    try:
        return bool(labeled_folders(folder, dataset.naming))
    except DataError:
        return False
