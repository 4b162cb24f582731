"""The names in a folder, without hidden ones and what systems leave there. Imports the standard library only.

Names that are not UTF-8 are kept as Python reads them. A link that leads nowhere counts as a file, so that
whoever opens it names it.
"""

import errno
import os
import stat
from collections.abc import Callable, Iterator
from hashlib import blake2b
from pathlib import Path
from typing import NoReturn

from flatqat.errors import DataError

NOTHING_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
SUFFIXES = frozenset({".jpeg", ".jpg", ".png"})  # in lower case, of every set that lists no others


def folder_names(folder: Path) -> list[str]:
    """Return the names of the folders in a folder, sorted. Raises DataError if it cannot be read."""
    return _names(folder, is_folder)


def image_names(folder: Path, suffixes: frozenset[str] = SUFFIXES) -> list[str]:
    """Return the names of the images in a folder, sorted. Raises DataError if it cannot be read."""
    return _names(folder, lambda entry: suffix(entry.name) in suffixes and not is_folder(entry))


def has_folder(path: Path) -> bool:
    """Return whether a folder, or a link to one, is there. Raises DataError if that cannot be read."""
    return _is_there(path, stat.S_ISDIR)


def has_file(path: Path) -> bool:
    """Return whether a file, or a link to one, is there. Raises DataError if that cannot be read."""
    return _is_there(path, stat.S_ISREG)


def files_below(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield place and name of every file below a folder; links to folders are followed, each folder once.

    Raises DataError if a folder cannot be read.
    """
    seen = set[str]()
    for place, folders, files in os.walk(folder, onerror=_refuse, followlinks=True):
        if (real := os.path.realpath(place)) in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not _is_hidden(name))
        yield from ((place, name) for name in files if not _is_hidden(name))


def suffix(name: str) -> str:
    """Return the ending of a name in lower case, such as `.jpeg`."""
    return os.path.splitext(name)[1].lower()


def name_hash(name: str) -> int:
    """Return 63 bits of a hash of a name, UTF-8 or not: the same on every machine."""
    return int.from_bytes(blake2b(os.fsencode(name), digest_size=8).digest()) >> 1


def check_regular(path: Path | str) -> None:
    """Raise DataError unless the path is that of a file with content: a pipe could be read forever."""
    try:
        status = os.stat(path)
    except OSError as error:
        _refuse(error)
    if not stat.S_ISREG(status.st_mode):
        raise DataError(f"{path}: expected a file, got a folder, a pipe or a device; remove it")
    if not status.st_size:
        raise DataError(f"{path}: expected a file with content, got an empty one; restore it from its source")


def content_of(path: Path) -> bytes:
    """Return what a file holds. Raises DataError as `check_regular` does, and if it cannot be read."""
    check_regular(path)
    try:
        return path.read_bytes()
    except OSError as error:
        _refuse(error)


def lines_of(file: Path) -> list[str]:
    """Return the lines of a text file that are not blank, without a byte order mark.

    Bytes that are not UTF-8 are kept as in names. Raises DataError if the file cannot be read or is not text.
    """
    text = content_of(file).decode("utf-8-sig", errors="surrogateescape")
    if "\0" in text:
        raise DataError(f"{file}: expected text in UTF-8, got UTF-16 or no text; save it as UTF-8")
    return [line for line in text.splitlines() if line.strip()]


def unreadable(error: OSError) -> DataError:
    """Return the error for a file or a folder that the system does not let us read."""
    fix = "check the link, the permissions and the disk"
    return DataError(f"{error.filename}: expected to read it, got: {error.strerror}; {fix}")


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry is a folder or a link to one; a link to itself is none."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _is_there(path: Path, kind: Callable[[int], bool]) -> bool:
    """Return whether a path leads to a file of some kind. Versions of pathlib differ in what they raise."""
    try:
        return kind(os.stat(path).st_mode)
    except OSError as error:
        if error.errno in NOTHING_THERE:
            return False
        raise unreadable(error) from error


def _names(folder: Path, wanted: Callable[[os.DirEntry[str]], bool]) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if not _is_hidden(entry.name) and wanted(entry))
    except OSError as error:
        raise unreadable(error) from error


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _refuse(error: OSError) -> NoReturn:
    raise unreadable(error) from error
