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


def shifted(root: Path | None, wanted: NaturalSet) -> "ImageData":
    """Every image of the set."""
    return images(root, wanted).load()


def images(root: Path | None, wanted: NaturalSet) -> Images:
    """As `shifted`, not to be decoded yet. No torch.

    Raises DataError when the set is not there, and when a folder is none of its classes.
    """
    found = in_class_folders(find(root, wanted), _naming(wanted))
    if wanted.class_subset and len(other := np.setdiff1d(found.labels, wanted.class_subset)):
        names = [classes.wnids()[label] for label in other[:4]]
        raise DataError(
            f"{found.folder}: expected the {len(wanted.class_subset)} classes of {wanted.title}, got "
            f"{len(other)} others ({', '.join(names)}); use the original folder"
        )
    return found


@lru_cache(maxsize=16)
def find(root: Path | None, wanted: NaturalSet) -> Path:
    """The folder of the set. Raises DataError when there is none."""
    return find_set(root, wanted, lambda folder: _looks_right(folder, wanted))


def missing_shifts(root: Path | None, wanted: NaturalSet) -> bool:
    """Whether the set is not on disk at all."""
    try:
        return not find(root, wanted)
    except DataError:
        return True


def _looks_right(folder: Path, wanted: NaturalSet) -> bool:
    try:
        return bool(labelled_folders(folder, _naming(wanted)))
    except DataError:
        return False


def _naming(wanted: NaturalSet) -> Naming:
    return "integer" if wanted.integers else "wnid"
