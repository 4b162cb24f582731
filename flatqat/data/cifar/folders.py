"""The layout with a folder for each class: `<split>/<class>/<image>.png`."""

import re
from pathlib import Path

import numpy as np

from flatqat.data.images.data_root import visible_folders
from flatqat.data.images.encoded import EncodedImages
from flatqat.data.images.entries import content_of, image_names
from flatqat.errors import DataError, listed


def read(folder: Path, classes: tuple[str, ...]) -> EncodedImages:
    """List the images of all class folders. Raises DataError if these are not `classes`, or one is empty.

    If file names begin with numbers that differ over all classes (`0_cat.png`, `1_ship.png`), these give the
    order; otherwise images are ordered by class and name, with numbers in names compared as numbers.
    """
    got = {path.name for path in visible_folders(folder)}
    if got != set(classes):
        missing, other = sorted(set(classes) - got), sorted(got - set(classes))
        wrong_set = "these classes are those of another dataset"
        fix = wrong_set if got.isdisjoint(classes) else "rename or complete the folders"
        raise DataError(
            f"{folder}: expected a folder for each of {listed(classes, 10)}, "
            f"got extra: {listed(other, 10)}, missing: {listed(missing, 10)}; {fix}"
        )
    files = [(label, path) for label, name in enumerate(classes) for path in _images(folder / name)]
    numbers = [re.match(r"\d+", path.name) for _, path in files]
    order = [int(number[0]) for number in numbers if number]
    if len(set(order)) == len(files):
        files = [entry for _, entry in sorted(zip(order, files, strict=True))]
    return EncodedImages(
        source=str(folder),
        labels=np.array([label for label, _ in files], np.int64),
        content=lambda index: content_of(files[index][1]),
        name=lambda index: str(files[index][1]),
    )


def _images(folder: Path) -> list[Path]:
    images = [folder / name for name in image_names(folder)]
    if not images:
        raise DataError(f"{folder}: expected .png or .jpg images, got none; complete the folder")
    return sorted(images, key=_natural_order)


def _natural_order(path: Path) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", path.name)]
