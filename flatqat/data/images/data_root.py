"""The folder that `--data-root` names, and what lies in a folder."""

from pathlib import Path

from flatqat.errors import DataError

SHOWN = 8


def data_root(root: Path | None, needs: str) -> Path:
    """The folder of all data, made absolute. Raises DataError when none was given or none is there."""
    if root is None:
        raise DataError(f"{needs} is read from disk, and no folder was given; pass --data-root FOLDER")
    if not root.is_dir():
        got = "a file" if root.exists() else "nothing there"
        raise DataError(f"--data-root {root}: expected a folder with {needs}, got {got}; check the path")
    return root.resolve()


def contents(folder: Path) -> str:
    """What lies in a folder, in a few words: `cifar10/, notes.txt`."""
    found = sorted(path.name + "/" * path.is_dir() for path in folder.iterdir())
    more = [f"{len(found) - SHOWN} more"] if len(found) > SHOWN else []
    return ", ".join(found[:SHOWN] + more) or "an empty folder"
