"""One process at a time in a folder. Standard library only."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Wait until no other process is in this context for a folder, which is made, and keep others out.

    Where the file system cannot lock folders, nothing is waited for.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
