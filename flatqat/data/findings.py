"""Checks of data on disk as findings: the check that loading makes, told instead of raised."""

from collections.abc import Callable
from pathlib import Path

from flatqat.errors import DataError
from flatqat.spec import Finding

SHOWN = 8


def look(check: Callable[[], str]) -> Finding:
    """Run one check. The text that it returns is a good finding; a DataError (`cause; mend`) is a bad one."""
    try:
        return Finding(ok=True, what=check())
    except DataError as error:
        what, _, mend = str(error).partition("; ")
        return Finding(ok=False, what=what, mend=mend)


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
