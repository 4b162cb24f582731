"""What commands say of a file that they have written, on stderr, since stdout may be the file."""

import os
from collections.abc import Iterable
from pathlib import Path

from flatqat.bench.records.files import is_special, unwritable
from flatqat.console.terminal import terminal
from flatqat.errors import UsageError, counted


def baseline_line(path: Path, count: int) -> str:
    """Return what to say of a baseline that was written: `main.json: 9 cells`."""
    return f"{path}: {counted(count, 'cell')}"


def check_later(name: str, path: Path | None, inputs: Iterable[Path], *, dry_run: bool) -> None:
    """Raise UsageError on a file that cannot be written, or will not be, at the end of a run."""
    if path is None:
        return
    if dry_run:
        raise UsageError(f"{name}: expected none with --dry-run, which writes nothing, got {path}")
    check_output(name, path, inputs)


def check_output(name: str, path: Path | None, inputs: Iterable[Path] = ()) -> None:
    """Raise UsageError on a file that cannot be written or is an input, before anything is computed."""
    if path is None:
        return
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


def say_written(path: Path) -> None:
    """Print where a file is, on stderr; nothing of a pipe or a device."""
    if not is_special(path):
        console = terminal(stderr=True)
        console.print(f"written to {path}", style="dim", markup=False, highlight=False, soft_wrap=True)
