"""The folder that `--data-root` names, and what a folder contains."""

import os
import re
from pathlib import Path

from flatqat.data.images.entries import folder_names, has_folder, is_folder, unreadable
from flatqat.errors import DataError, found, listed


def data_root(root: Path | None, needs: str) -> Path:
    """Return the data root, the folder of `needs`, as an absolute path. Raises DataError if it is missing."""
    if root is None:
        raise DataError(f"{needs} is read from disk, but no folder was given; pass --data-root FOLDER")
    if not has_folder(root):
        raise DataError(
            f"--data-root {root}: expected a folder with {needs}, got {found(root)}; check the path"
        )
    return root.resolve()


def contents(folder: Path) -> str:
    """Describe what a folder contains, such as `cifar10/, notes.txt`."""
    try:
        names = sorted(entry.name + "/" * is_folder(entry) for entry in os.scandir(folder))
    except OSError as error:
        raise unreadable(error) from error
    return listed(names, 8, empty="an empty folder")


def visible_folders(folder: Path) -> list[Path]:
    """Return the folders in a folder, sorted by name, without hidden ones."""
    return [folder / name for name in folder_names(folder)]


def plain(name: str) -> str:
    """Return a name in lower case and without punctuation: `Real World` and `real_world` are the same."""
    return re.sub(r"[\W_]", "", name).lower()
