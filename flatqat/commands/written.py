"""What commands say of a file that they have written, on stderr, since stdout may be the file."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from flatqat.bench.records.files import is_special, unwritable
from flatqat.bench.records.writable import OWN_FOLDERS
from flatqat.console.terminal import terminal
from flatqat.errors import UsageError, counted


def baseline_line(path: Path, count: int) -> str:
    """Return what to say of a baseline that was written: `main.json: 9 cells`."""
    return f"{path}: {counted(count, 'cell')}"


def check_later(
    name: str, path: Path | None, results: Path, inputs: Iterable[Path], *, dry_run: bool
) -> None:
    """Raise UsageError on a file that cannot be written, or will not be, at the end of a run."""
    if path is None:
        return
    if dry_run:
        raise UsageError(f"{name}: expected none with --dry-run, which writes nothing, got {path}")
    check_output(name, path, results, inputs)


def check_output(
    name: str, path: Path | None, results: Path | Sequence[Path], inputs: Iterable[Path] = ()
) -> None:
    """Raise UsageError on a file that cannot be written, is an input or is among those of results folders.

    That is before anything is computed.
    """
    if path is None:
        return
    for folder in [results] if isinstance(results, Path) else results:
        check_apart(name, path, folder)
    real = Path(os.path.realpath(path))
    if real.is_dir():
        raise UsageError(f"{name}: expected a file to write, got a folder: {path}")
    if any(real == Path(os.path.realpath(file)) for file in inputs):
        raise UsageError(
            f"{name}: expected another file than those that are read, got {path}; choose another"
        )
    in_place = real.exists() and is_special(real)
    if not in_place and (reason := unwritable(real.parent)):
        raise UsageError(f"{name}: expected a file that can be written, got {path}: {reason}; choose another")


def check_apart(name: str, path: Path, results: Path) -> None:
    """Raise UsageError if a file or folder to write lies where a results folder has files of its own."""
    places = [Path(os.path.realpath(path)), Path(os.path.realpath(path.parent), path.name)]
    for folder in (results / own for own in OWN_FOLDERS):
        if any(place.is_relative_to(os.path.realpath(folder)) for place in places):
            expected = f"expected a place outside {folder}, which is for stored results"
            raise UsageError(f"{name}: {expected}, got {path}; choose another")


def say_written(path: Path) -> None:
    """Print where a file is, on stderr; nothing of a pipe or a device."""
    if not is_special(path):
        terminal(stderr=True).print(f"written to {path}", style="dim", soft_wrap=True)
