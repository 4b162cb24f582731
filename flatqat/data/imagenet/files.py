"""Labelled image files in a folder a class, listed once and in one order. No torch.

The order is that of the images' names, whatever class folders they stand in. An image's id is its number
where its name has one (`ILSVRC2012_val_00000293`), else a hash of its class and name: the same one in any
subset, under any root, for a clean image and its corrupted copies.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from flatqat.data.imagenet import classes
from flatqat.errors import DataError

if TYPE_CHECKING:
    from flatqat.data.images.image_data import ImageData, Transform

Naming = Literal["wnid", "integer"]
Labels = NDArray[np.int64]

SUFFIXES = (".JPEG", ".jpeg", ".jpg", ".JPG", ".png", ".PNG")
NUMBER = re.compile(r"ILSVRC2012_val_(\d{8})\b")
SHOWN = 4


class Paths(Sequence[str]):
    """The paths of files below one folder, joined when they are asked for."""

    def __init__(self, folder: Path, names: tuple[str, ...]) -> None:
        self.folder, self.names = str(folder), names

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, at: Any) -> Any:
        return os.path.join(self.folder, self.names[at])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Images:
    """N image files: `names` below `folder`, with labels and ids, int64 (N,)."""

    folder: Path
    names: tuple[str, ...]
    labels: Labels
    ids: Labels

    def __len__(self) -> int:
        return len(self.names)

    @property
    def paths(self) -> Paths:
        return Paths(self.folder, self.names)

    def take(self, index: NDArray[np.intp]) -> "Images":
        """The images at `index`, in its order."""
        names = tuple(self.names[at] for at in index)
        return Images(folder=self.folder, names=names, labels=self.labels[index], ids=self.ids[index])

    def of_classes(self, only: tuple[int, ...]) -> "Images":
        """The images of some classes."""
        return self.take(np.flatnonzero(np.isin(self.labels, only)))

    def load(self, view: "Transform | None" = None) -> "ImageData":
        """To be decoded when asked for; see `image_files` for `view`."""
        import torch

        from flatqat.data.images.image_files import image_files

        labels, ids = torch.from_numpy(self.labels), torch.from_numpy(self.ids)
        return image_files(self.paths, labels, ids, classes=classes.COUNT, source=str(self.folder), view=view)


@lru_cache(maxsize=512)
def in_class_folders(folder: Path, naming: Naming = "wnid") -> Images:
    """Every image of every class folder. Listed once for each folder: no file is opened or asked about.

    Raises DataError when a folder does not name a class, and when an image is there twice.
    """
    names, labels = [], []
    for name, label in labelled_folders(folder, naming).items():
        inside = image_names(folder / name)
        names += [f"{name}/{file}" for file in inside]
        labels += [label] * len(inside)
    return in_order(folder, names, labels)


def labelled_folders(folder: Path, naming: Naming = "wnid") -> dict[str, int]:
    """The name of each class folder and its label. Raises DataError, with the cause, on any other name."""
    found = folder_names(folder)
    known = classes.labels() if naming == "wnid" else {str(label): label for label in range(classes.COUNT)}
    if naming == "integer" and found and all(name in classes.labels() for name in found):
        known = classes.labels()
    if wrong := [name for name in found if name not in known]:
        raise DataError(f"{folder}: {_cause(wrong, naming)}")
    return {name: known[name] for name in found}


def in_order(folder: Path, names: Sequence[str], labels: Sequence[int]) -> Images:
    """Sort files by image name and number them. Raises DataError when an image is there twice, or none is."""
    if not names:
        raise DataError(f"{folder}: expected images in class folders, got none; complete the copy")
    kept, of_names, ids, twice = _numbered(tuple(names), tuple(labels))
    if twice:
        raise DataError(f"{folder}: expected each image once, got {' and '.join(twice)}; keep the original")
    return Images(folder=folder, names=kept, labels=of_names, ids=ids)


@lru_cache(maxsize=8)
def _numbered(
    names: tuple[str, ...], labels: tuple[int, ...]
) -> tuple[tuple[str, ...], Labels, Labels, list[str]]:
    """Names, labels and ids in order, and the names of an image that is there twice.

    Folders that hold the same names share all of it: they are sorted and numbered once, and kept once.
    """
    order = sorted(range(len(names)), key=lambda at: _by_image(names[at]))
    kept, wnids = tuple(names[at] for at in order), classes.wnids()
    ids = np.array([image_id(names[at], wnids[labels[at]]) for at in order], np.int64)
    unique, counts = np.unique(ids, return_counts=True)
    twice = np.flatnonzero(ids == unique[counts.argmax()]) if len(unique) < len(ids) else ()
    return kept, np.array(labels, np.int64)[order], ids, [kept[at] for at in twice]


def _by_image(name: str) -> tuple[str, str]:
    class_folder, _, file = name.rpartition("/")
    return file, class_folder


def image_id(name: str, wnid: str) -> int:
    """The number in a validation image's name, else 63 bits of a hash of class and name."""
    if number := NUMBER.search(name):
        return int(number[1])
    stem = name.rpartition("/")[2].rpartition(".")[0]
    return int.from_bytes(blake2b(f"{wnid}/{stem}".encode(), digest_size=8).digest()) >> 1


def folder_names(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(
            entry.name for entry in entries if not entry.name.startswith((".", "__")) and entry.is_dir()
        )


def image_names(folder: Path) -> list[str]:
    return sorted(name for name in os.listdir(folder) if name.endswith(SUFFIXES) and not name.startswith("."))


def _cause(wrong: list[str], naming: Naming) -> str:
    """What folders of these names are, and how to mend it."""
    got = ", ".join(wrong[:SHOWN]) + (f" and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else "")
    if naming == "integer":
        return f"expected class folders 0 to 999, got {got}; use the original folders"
    if all(name.isdecimal() for name in wrong):
        return (
            f"expected class folders named by WordNet ids such as n01440764, got numbers ({got}), which do "
            "not say in which order the classes were counted; rename them to WordNet ids"
        )
    if all(re.fullmatch(r"n\d{8}", name) for name in wrong):
        return f"expected the 1,000 classes of ImageNet, got {got} besides; move the other classes away"
    return (
        f"expected class folders named by WordNet ids such as n01440764, got {got}; rename them (names in "
        "words are ambiguous: two classes are called crane, and two maillot), and move other folders away"
    )
