"""The layout of one folder a class: `<split>/<class>/<image>.png`."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from flatqat.data.images.encoded import Stored
from flatqat.errors import DataError

SUFFIXES = frozenset({".png", ".jpg", ".jpeg"})
SHOWN = 10


def read(folder: Path, classes: tuple[str, ...]) -> Stored:
    """Every image of every class folder.

    Where the numbers that the names begin with differ over all classes (`0_cat.png`, `1_ship.png`), they
    are the order; else the order is by class and by name, numbers within names compared as numbers.
    Raises DataError when the folders are not those of `classes`, or one holds no images.
    """
    got = {path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")}
    if got != set(classes):
        missing, other = sorted(set(classes) - got), sorted(got - set(classes))
        known = not got.isdisjoint(classes)
        mend = "rename or complete the folders" if known else "these classes are those of another set"
        raise DataError(
            f"{folder}: expected a folder for each of {_few(classes)}, "
            f"got {_few(other)} besides and {_few(missing)} missing; {mend}"
        )
    found = [(label, path) for label, name in enumerate(classes) for path in _images(folder / name)]
    numbers = [re.match(r"\d+", path.name) for _, path in found]
    order = [int(number[0]) for number in numbers if number]
    if len(set(order)) == len(found):
        found = [entry for _, entry in sorted(zip(order, found, strict=True))]
    return Stored(
        where=str(folder),
        labels=np.array([label for label, _ in found], np.int64),
        content=lambda at: found[at][1].read_bytes(),
        name=lambda at: str(found[at][1]),
    )


def _few(names: Sequence[str]) -> str:
    more = [f"{len(names) - SHOWN} more"] if len(names) > SHOWN else []
    return ", ".join([*names[:SHOWN], *more]) or "none"


def _images(folder: Path) -> list[Path]:
    found = [path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES]
    if not found:
        raise DataError(f"{folder}: expected .png or .jpg images, got none; complete the folder")
    return sorted(found, key=_natural)


def _natural(path: Path) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", path.name)]
