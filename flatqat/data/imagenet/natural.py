"""Images of ImageNet's classes that were taken, drawn or chosen by others: R, A, Sketch, V2."""

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from flatqat.data.imagenet import classes
from flatqat.data.imagenet.files import Images, Naming, in_class_folders, labelled_folders
from flatqat.data.imagenet.names import NaturalSet
from flatqat.data.imagenet.places import find_set
from flatqat.errors import DataError

if TYPE_CHECKING:
    from flatqat.data.images.image_data import ImageData


def shifted(root: Path | None, dataset: NaturalSet) -> "ImageData":
    """Every image of the set."""
    return images(root, dataset).load()


def images(root: Path | None, dataset: NaturalSet) -> Images:
    """As `shifted`, not to be decoded yet. No torch.

    Raises DataError when the set is not there, and when a folder is none of its classes.
    """
    found = in_class_folders(find(root, dataset), _naming(dataset))
    if dataset.class_subset and len(other := np.setdiff1d(found.labels, dataset.class_subset)):
        names = [classes.wnids()[label] for label in other[:4]]
        raise DataError(
            f"{found.folder}: expected the {len(dataset.class_subset)} classes of {dataset.title}, got "
            f"{len(other)} others ({', '.join(names)}); use the original folder"
        )
    return found


@lru_cache(maxsize=16)
def find(root: Path | None, dataset: NaturalSet) -> Path:
    """The folder of the set. Raises DataError when there is none."""
    return find_set(root, dataset, lambda folder: _looks_right(folder, dataset))


def is_missing(root: Path | None, dataset: NaturalSet) -> bool:
    """Whether the set is not on disk at all."""
    try:
        return not find(root, dataset)
    except DataError:
        return True


def _looks_right(folder: Path, dataset: NaturalSet) -> bool:
    try:
        return bool(labelled_folders(folder, _naming(dataset)))
    except DataError:
        return False


def _naming(dataset: NaturalSet) -> Naming:
    return "integer" if dataset.integers else "wnid"
