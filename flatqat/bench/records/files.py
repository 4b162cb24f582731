"""Files that are written in one step, and read although another run may remove them meanwhile.

A file of the store replaces what has its name, links included. A file that the user names as an output is
written where a link leads, and into a pipe or a device as it is.
"""

import hashlib
import io
import os
import secrets
import stat
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from flatqat.errors import StoreError, Vanished, found

Arrays = dict[str, np.ndarray[Any, Any]]
TEMPORARY = ".*.tmp"
ATTEMPTS = 100  # to write into a folder that other runs remove as often


def write_atomically(path: Path, data: bytes) -> None:
    """Replace a file in one step, so that readers see the old one or the new one. Raises StoreError."""
    for attempt in range(ATTEMPTS):
        try:
            _replace(path, data)
            break
        except FileNotFoundError as error:  # another run removed the folder
            if attempt == ATTEMPTS - 1:
                raise _unwritable(path, error) from error
        except OSError as error:
            raise _unwritable(path, error) from error


def write_output(path: Path, data: bytes) -> None:
    """Write a file that the user named: where a link leads, in one step unless it is a pipe or a device.

    Raises StoreError.
    """
    if not is_special(path):
        write_atomically(Path(os.path.realpath(path)), data)
        return
    try:
        path.write_bytes(data)
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror or error}") from error


def is_special(path: Path) -> bool:
    """Whether there is something but no regular file at a path. Raises StoreError if that is not known."""
    try:
        return not stat.S_ISREG(path.stat().st_mode)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror or error}") from error


def arrays_as_bytes(arrays: Mapping[str, np.ndarray[Any, Any]]) -> bytes:
    """Return arrays as a compressed npz file."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def read_arrays(path: Path, names: Collection[str] | None = None, sha256: str = "") -> Arrays:
    """Return the arrays of an npz file, or only those called `<shift>:<name>` with one of `names`.

    Never executes pickles. Raises StoreError on a damaged file and on one whose hash is not `sha256`, where
    that is known, and Vanished if there is none.
    """
    data = read_bytes(path)
    if sha256 and hashlib.sha256(data).hexdigest() != sha256:
        got = "others, as of a run that was cut off"
        raise StoreError(f"{path}: expected the outcomes of its record, got {got}; run the cell again")
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            keys = (key for key in arrays.files if names is None or key.rpartition(":")[2] in names)
            return {key: arrays[key] for key in keys}
    except Exception as error:  # whatever zip, zlib or numpy make of damaged bytes
        got = f"a damaged file ({type(error).__name__}); delete it and run the cell again"
        raise StoreError(f"{path}: expected stored arrays, got {got}") from error


def read_bytes(path: Path, fix: str = "restore it, or run the cell again") -> bytes:
    """Return the content of a file. Raises Vanished if there is none, StoreError if it cannot be read."""
    check_regular(path, fix)
    try:
        return path.read_bytes()
    except OSError as error:
        kind = Vanished if isinstance(error, FileNotFoundError) else StoreError
        raise kind(f"{path}: cannot be read: {error.strerror or error}; {fix}") from error


def check_regular(path: Path, fix: str) -> None:
    """Raise StoreError if there is a folder, a pipe or a device at a path: reading a pipe would never end."""
    if path.exists() and not path.is_file():
        raise StoreError(f"{path}: expected a file, got {found(path)}; {fix}")


def remove_file(path: Path) -> None:
    """Remove a file, if there is one. Raises StoreError if that is impossible."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(f"cannot remove {path}: {error.strerror or error}") from error


def size_of(path: Path) -> int:
    """Return the bytes of a file. Raises Vanished if there is none, or a link that leads nowhere."""
    try:
        return path.stat().st_size
    except OSError as error:
        raise Vanished(f"{path}: expected a file, found none; run again") from error


def _replace(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{secrets.token_hex(8)}.tmp")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)  # less the user's umask
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileNotFoundError):
            os.chmod(temporary, stat.S_IMODE(path.stat().st_mode))
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _unwritable(path: Path, error: OSError) -> StoreError:
    return StoreError(f"cannot write {path}: {error.strerror or error}; nothing was changed there")
