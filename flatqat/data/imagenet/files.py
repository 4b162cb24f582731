"""Labeled image files in a folder for each class, listed once and in a fixed order. Imports no torch.

Images are ordered by name, whatever class folder they are in. An image's id is the number in its name
(`ILSVRC2012_val_00000293`), or else a hash of its class and name. It is the same in any subset, under any
root, and for a clean image and its corrupted copies.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from flatqat.data.imagenet import classes
from flatqat.data.imagenet.names import Naming, class_names
from flatqat.data.images.encoded import Decode, to_rgb
from flatqat.data.images.entries import folder_names, image_names, name_hash
from flatqat.errors import DataError, listed

if TYPE_CHECKING:
    from flatqat.data.tensors.image_data import ImageData

Labels = NDArray[np.int64]

NUMBER = re.compile(r"ILSVRC2012_val_(\d{8})\b")


class Paths(Sequence[str]):
    """The paths of files below one folder, joined on demand."""

    def __init__(self, folder: Path, names: tuple[str, ...]) -> None:
        self.folder, self.names = str(folder), names

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: Any) -> Any:
        return os.path.join(self.folder, self.names[index])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Images:
    """N image files: `names` below `folder`, with labels and ids, int64 (N,).

    `doubt` says why labels may count the classes in another order; empty if they cannot.
    """

    folder: Path
    names: tuple[str, ...]
    labels: Labels
    ids: Labels
    doubt: str = ""

    def __len__(self) -> int:
        return len(self.names)

    @property
    def paths(self) -> Paths:
        """The path of each file."""
        return Paths(self.folder, self.names)

    def take(self, index: NDArray[np.intp]) -> "Images":
        """Return the images at `index`, in that order."""
        names = tuple(self.names[position] for position in index)
        return replace(self, names=names, labels=self.labels[index], ids=self.ids[index])

    def load(self, side: int | None = None, decode: Decode = to_rgb) -> "ImageData":
        """Return a dataset that decodes the files on demand; `image_files` explains `side` and `decode`."""
        import torch

        from flatqat.data.tensors.image_files import image_files

        labels, ids = torch.from_numpy(self.labels), torch.from_numpy(self.ids)
        return image_files(
            self.paths, labels, ids, classes=classes.COUNT, source=str(self.folder), side=side, decode=decode
        )


@lru_cache(maxsize=512)
def in_class_folders(folder: Path, naming: Naming = "wnid") -> Images:
    """List the images of all class folders. Raises DataError as `labeled_folders` and `in_order` do."""
    names, labels = [], []
    of_folder = labeled_folders(folder, naming)
    for name, label in of_folder.items():
        inside = image_names(folder / name)
        names += [f"{name}/{file}" for file in inside]
        labels += [label] * len(inside)
    numbered, first = all(name.isdecimal() for name in of_folder), 0 in of_folder.values()
    doubt = "class folders are numbers and none is 0: they may count from 1" if numbered and not first else ""
    return replace(in_order(folder, names, labels, class_names(naming)), doubt=doubt)


def labeled_folders(folder: Path, naming: Naming = "wnid") -> dict[str, int]:
    """Return the label of each class folder. Raises DataError, with the cause, on any other name."""
    names, by_wnid = folder_names(folder), classes.labels()
    if naming == "sixteen":
        label_of = {name: label for label, name in enumerate(class_names(naming))}
    elif naming == "wnid" or (names and all(name in by_wnid for name in names)):
        label_of = by_wnid
    else:
        label_of = {str(label): label for label in range(classes.COUNT)}
    if wrong := [name for name in names if name not in label_of]:
        raise DataError(f"{folder}: {_cause(wrong, naming)}")
    return {name: label_of[name] for name in names}


def in_order(
    folder: Path, names: Sequence[str], labels: Sequence[int], called: tuple[str, ...] = classes.wnids()
) -> Images:
    """Sort files by image name and number them; `called` are the classes of labels.

    Raises DataError if one appears twice, or there is none.
    """
    if not names:
        raise DataError(f"{folder}: expected images in class folders, got none; complete the copy")
    ordered, ordered_labels, ids, duplicates = _numbered(tuple(names), tuple(labels), called)
    if duplicates:
        got = " and ".join(duplicates)
        raise DataError(f"{folder}: expected each image once, got {got}; keep the original")
    return Images(folder=folder, names=ordered, labels=ordered_labels, ids=ids)


@lru_cache(maxsize=8)
def _numbered(
    names: tuple[str, ...], labels: tuple[int, ...], called: tuple[str, ...]
) -> tuple[tuple[str, ...], Labels, Labels, list[str]]:
    """Return names, labels and ids in order, and the names of an image that appears twice.

    Folders with the same names share the result: it is computed and stored once.
    """
    # By the image's name, then by its folder.
    order = sorted(range(len(names)), key=lambda index: names[index].split("/")[::-1])
    ordered = tuple(names[index] for index in order)
    ids = np.array([image_id(names[index], called[labels[index]]) for index in order], np.int64)
    unique, counts = np.unique(ids, return_counts=True)
    duplicates = np.flatnonzero(ids == unique[counts.argmax()]) if len(unique) < len(ids) else ()
    return ordered, np.array(labels, np.int64)[order], ids, [ordered[index] for index in duplicates]


def image_id(name: str, called: str) -> int:
    """Return the number in a validation image's name, or else 63 bits of a hash of class and name."""
    if number := NUMBER.search(name):
        return int(number[1])
    return name_hash(f"{called}/{stem(name)}")


def stem(name: str) -> str:
    """Return the name of an image without its folder and its suffix."""
    return name.rpartition("/")[2].rpartition(".")[0]


def _cause(wrong: list[str], naming: Naming) -> str:
    """Return what folders with these names are, and the fix."""
    got = listed(wrong)
    if naming == "sixteen":
        return f"expected class folders {', '.join(class_names(naming))}, got {got}; use the original folders"
    if naming == "integer":
        return f"expected class folders 0 to 999, got {got}; use the original folders"
    if all(name.isdecimal() for name in wrong):
        return (
            f"expected class folders named by WordNet ids such as n01440764, got numbers ({got}), which do "
            "not say in which order the classes were counted; rename them to WordNet ids"
        )
    if all(re.fullmatch(r"n\d{8}", name) for name in wrong):
        return f"expected the 1,000 classes of ImageNet, got {got} as well; move the other classes away"
    return (
        f"expected class folders named by WordNet ids such as n01440764, got {got}; rename them (names in "
        "words are ambiguous: two classes are called crane, and two maillot), and move other folders away"
    )
