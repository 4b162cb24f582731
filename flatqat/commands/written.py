"""What commands say of a file that they have written, on stderr, since stdout may be the file."""

from pathlib import Path

from flatqat.bench.records.files import is_special
from flatqat.console.terminal import terminal
from flatqat.errors import UsageError, counted


def baseline_line(path: Path, count: int) -> str:
    """Return what to say of a baseline that was written: `main.json: 9 cells`."""
    return f"{path}: {counted(count, 'cell')}"


def check_later(name: str, path: Path | None, *, dry_run: bool) -> None:
    """Raise UsageError on a file that cannot be written, or will not be, at the end of a run."""
    if path is None:
        return
    if dry_run:
        raise UsageError(f"{name}: expected none with --dry-run, which writes nothing, got {path}")
    if path.is_dir():
        raise UsageError(f"{name}: expected a file to write, got a folder: {path}")


def say_written(path: Path) -> None:
    """Print where a file is, on stderr; nothing of a pipe or a device."""
    if not is_special(path):
        console = terminal(stderr=True)
        console.print(f"written to {path}", style="dim", markup=False, highlight=False, soft_wrap=True)
