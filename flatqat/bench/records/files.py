"""Files that are written in one step, and read although another run may remove them meanwhile.

A file of the store replaces whatever has its name, even a link. A file that the user names as an output is
written where a link leads, and into a pipe or a device as it is.
"""

import errno
import hashlib
import io
import math
import os
import re
import secrets
import stat
import zipfile
import zlib
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from flatqat.bench.records.members import Member, members
from flatqat.bench.records.owners import process_mark
from flatqat.errors import StoreError, Vanished, found
from flatqat.memory import out_of_memory

Arrays = dict[str, np.ndarray[Any, Any]]
HEX = "[0-9a-f]"
TEMPORARY = f".{8 * HEX}-*.{16 * HEX}.tmp"
"""The names of temporary files, as a glob; other programs, such as those that copy folders, use others."""
ATTEMPTS = 100  # to write into a folder that other runs remove as often
UNCHANGED = "; nothing was changed there"


def write_atomically(path: Path, *data: bytes) -> None:
    """Replace a file in one step, so that readers see the old one or the new one. Raises StoreError.

    Its content is all of `data`, one after the other.
    """
    for attempt in range(ATTEMPTS):
        try:
            _replace(path, data)
            break
        except FileNotFoundError as error:  # another run removed the folder
            if attempt == ATTEMPTS - 1:
                raise unwritable_file(path, error, UNCHANGED) from error
        except OSError as error:
            raise unwritable_file(path, error, UNCHANGED) from error


def write_output(path: Path, *data: bytes) -> None:
    """Write a file that the user named: where a link leads, in one step unless it is a pipe or a device.

    Raises StoreError.
    """
    if not is_special(path):
        write_atomically(Path(os.path.realpath(path)), *data)
        return
    try:
        with path.open("wb") as file:
            file.writelines(data)
    except OSError as error:
        raise unwritable_file(path, error) from error


def check_may_write(folder: Path, what: str = "results folder") -> None:
    """Raise StoreError if a folder, or the nearest one above it that exists, cannot be written to."""
    if reason := unwritable(folder):
        raise unwritable_folder(folder, reason, what)


def unwritable(folder: Path) -> str:
    """Return why a folder, or the nearest one above it that exists, cannot be written to; empty if it can."""
    nearest = next(place for place in (folder, *folder.absolute().parents) if os.path.exists(place))
    if not os.path.isdir(nearest):
        return os.strerror(errno.ENOTDIR)
    return "" if os.access(nearest, os.W_OK | os.X_OK) else os.strerror(errno.EACCES)


def unwritable_folder(folder: Path, got: str | None, what: str = "results folder") -> StoreError:
    """Return the error for a folder of results, or of something else, that cannot be written to."""
    expected = f"{what} {folder}: expected a folder that can be written"
    return StoreError(f"{expected}, got: {got}; choose another folder")


def unwritable_file(path: Path, error: OSError, end: str = "") -> StoreError:
    """Return the error for a file that cannot be written; its message ends with `end`."""
    return StoreError(f"cannot write {path}: {error.strerror or error}{end}")


def is_special(path: Path) -> bool:
    """Whether there is something but no regular file at a path. Raises StoreError if that is not known."""
    try:
        return not stat.S_ISREG(path.stat().st_mode)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise unwritable_file(path, error) from error


def arrays_as_bytes(arrays: Mapping[str, np.ndarray[Any, Any]]) -> bytes:
    """Return arrays as an npz file; those that compression would not halve are stored as they are."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, array in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)
            data = member.getvalue()
            halved = len(zlib.compress(data)) < len(data) / 2
            info = zipfile.ZipInfo(f"{name}.npy")  # of 1980, so that the same arrays give the same bytes
            file.writestr(info, data, zipfile.ZIP_DEFLATED if halved else zipfile.ZIP_STORED)
    return buffer.getvalue()


def read_arrays(
    path: Path,
    names: Collection[str] | None = None,
    sha256: str = "",
    most: int | None = None,
    fix: str = "delete it and run the cell again with --rerun",
) -> Arrays:
    """Return the arrays of an npz file, or only those whose last name, behind `:` or `/`, is in `names`.

    Never executes pickles. Raises StoreError on a damaged file, on one whose hash is not `sha256`, where that
    is known, and on an array of more than `most` bytes before it takes memory; Vanished if there is none.
    `fix` is what to do about damage.
    """
    data = read_bytes(path)
    if sha256 and hashlib.sha256(data).hexdigest() != sha256:
        got = "others, as a run leaves that was cut off"
        raise StoreError(f"{path}: expected the outcomes of its record, got {got}; run the cell again")
    try:
        parts = (members(data) if sha256 else None) or _checked_members(data, most)
        keys = {name.removesuffix(".npy"): read for name, read in parts.items()}
        return {
            key: _array(read())
            for key, read in keys.items()
            if names is None or re.split("[:/]", key)[-1] in names
        }
    except Exception as error:  # whatever zip, zlib or numpy make of damaged bytes
        if out_of_memory(error):
            raise
        got = f"a damaged file ({type(error).__name__})"
        raise StoreError(f"{path}: expected stored arrays, got {got}; {fix}") from error


def is_own(path: Path, sha256: str) -> bool:
    """Whether a file is there and has a hash; any will do if that is not known."""
    try:
        digest = hashlib.sha256(read_bytes(path)).hexdigest() if sha256 else ""
    except StoreError:
        return False
    return digest == sha256 and path.exists()


def _checked_members(data: bytes, most: int | None) -> dict[str, Member]:
    file = zipfile.ZipFile(io.BytesIO(data))
    if most is not None and any(info.file_size > most for info in file.infolist()):
        raise ValueError(f"expected arrays of {most} bytes at most")
    return {name: partial(file.read, name) for name in file.namelist()}


def _array(data: bytes | memoryview) -> np.ndarray[Any, Any]:
    """Return the array in the bytes of an npy file, which shares their memory where it can."""
    end = 10 + int.from_bytes(data[8:10], "little")
    dtype, shape = _layout(bytes(data[:end]))
    if dtype is None:
        array: np.ndarray[Any, Any] = np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
        return array
    return np.frombuffer(data, dtype, math.prod(shape), end).reshape(shape)


@lru_cache(maxsize=256)
def _layout(header: bytes) -> tuple[np.dtype[Any] | None, tuple[int, ...]]:
    """Return the type and the shape that an npy file begins with; None for one to be read element by element.

    Thousands of files begin alike, and parsing a header takes longer than reading the array.
    """
    stream = io.BytesIO(header)
    if np.lib.format.read_magic(stream) != (1, 0):
        return None, ()
    shape, by_columns, dtype = np.lib.format.read_array_header_1_0(stream)
    return (None if by_columns or dtype.hasobject else dtype), shape


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
    try:
        mode = path.stat().st_mode
    except OSError:
        return
    if not stat.S_ISREG(mode):
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


def _replace(path: Path, data: Sequence[bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{process_mark()}.{secrets.token_hex(8)}.tmp")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)  # less the user's umask
    try:
        with os.fdopen(handle, "wb") as file:
            file.writelines(data)
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileNotFoundError):
            os.chmod(temporary, stat.S_IMODE(path.stat().st_mode))
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def entries(folder: Path) -> list[Path]:
    """Return what is in a folder, sorted. Raises StoreError if it cannot be read; `glob` passes over that."""
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise StoreError(f"{folder}: cannot be read: {error.strerror}; change its permissions") from error
