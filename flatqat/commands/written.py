"""What commands say of a file that they have written, on stderr, since stdout may be the file."""

from pathlib import Path

from flatqat.bench.records.files import is_special
from flatqat.console.terminal import terminal


def say_written(path: Path) -> None:
    """Print where a file is, on stderr; nothing of a pipe or a device."""
    if not is_special(path):
        console = terminal(stderr=True)
        console.print(f"written to {path}", style="dim", markup=False, highlight=False, soft_wrap=True)
