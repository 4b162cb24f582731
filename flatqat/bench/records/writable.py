"""Whether a results folder can be written: found now rather than after hours of training."""

import os
import tempfile
from pathlib import Path

from flatqat.bench.records.files import check_may_write, unwritable_folder

OWN_FOLDERS = ("records", "weights", "data", "pictures", "sensitivity", ".work")
"""The folders of a results folder, in which only the store writes."""


def check_writable(root: Path) -> None:
    """Make a results folder, and a file for a moment in each of its folders; raises StoreError if one fails.

    Only so is a full disk found, or a folder that a network mounts for reading.
    """
    folder = root
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for folder in _folders(root):
            try:
                tempfile.TemporaryFile(dir=folder).close()
            except FileNotFoundError:
                if folder == root or folder.is_symlink():
                    raise  # else another run has removed it meanwhile, as each does at its end
    except OSError as error:
        raise unwritable_folder(folder, error.strerror) from error


def check_looks_writable(root: Path) -> None:
    """Raise what `check_writable` does, as far as that shows without writing anything."""
    for folder in _folders(root):
        check_may_write(folder)


def _folders(root: Path) -> list[Path]:
    """Return where files are written: the results folder and, of its own folders, those that exist."""
    own = [path for name in OWN_FOLDERS if os.path.lexists(path := root / name)]
    return [root, *own, *filter(Path.is_dir, root.glob("records/*"))]
