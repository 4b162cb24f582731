"""All errors that a user can cause, in one tree.

    FlatqatError            exit code 2, one line, no traceback
    ├── UsageError          an unknown name, a malformed option, an impossible combination
    ├── DataError           a missing folder, a wrong layout, a damaged image, labels out of range
    ├── WeightsError        a checkpoint that is missing, unsafe, damaged or of another network
    ├── StoreError          a results folder that cannot be written, a record that cannot be read
    │   ├── Vanished        a file of a results folder that another run removed
    │   └── Misplaced       a record under the name of another cell, or among those of other images
    ├── PluginError         a plugin file that fails to import or does not export what it must
    └── RankLost            a process of several that train together has ended
    TrainingFailed          becomes the record of one cell, and all others still run

Any other exception is a bug in flatqat and shows its traceback.
"""

import os
import stat
from collections.abc import Collection, Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import TypeVar

Name = TypeVar("Name", bound=str)
MOST_LISTED = 40
THINGS = (
    (stat.S_ISREG, "a file"),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class FlatqatError(Exception):
    """A mistake that the user can fix; the message says what was expected, what was found and what to do."""


class UsageError(FlatqatError):
    """An unknown name, a malformed option or an impossible combination."""


class DataError(FlatqatError):
    """Data on disk that is missing, damaged or in the wrong layout, or labels out of range."""


class WeightsError(FlatqatError):
    """A checkpoint that is missing, unsafe, damaged or of another network."""


class StoreError(FlatqatError):
    """A results folder that cannot be written, or a record that cannot be read."""


class Vanished(StoreError):
    """A file of a results folder that is not there, or not any more: another run may have removed it."""


class Misplaced(StoreError):
    """A record that is not where its cell belongs, such as a copy under another name or of another folder."""


class PluginError(FlatqatError):
    """A plugin that fails to import or does not export what its kind requires."""


class RankLost(FlatqatError):
    """A process of several that train together has ended, so that the others cannot go on."""


class TrainingFailed(Exception):
    """Training of one cell failed, for the reason in the message: a loss that is not finite, no memory."""


def listed(names: Collection[object], most: int = 4, *, empty: str = "none") -> str:
    """Return `a, b, c and 7 more`: the first `most` names and how many others there are."""
    first = ", ".join(str(name) for name, _ in zip(names, range(most), strict=False))
    return f"{first} and {len(names) - most:,} more" if len(names) > most else first or empty


def counted(count: int, noun: str) -> str:
    """Return `1 cell` or `2,000 cells`: a count with its noun, in the plural unless it is one."""
    return f"{count:,} {noun}{'s' * (count != 1)}"


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or the name of its type if it has none."""
    return str(error).strip().partition("\n")[0] or type(error).__name__


def found(path: Path) -> str:
    """Return what is at a path: `a file`, `a folder`, `a pipe`, ..., or `none` with the reason if known."""
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return "a link to nothing" if os.path.islink(path) else "none"
    except (OSError, ValueError) as error:
        return f"none ({getattr(error, 'strerror', None) or error})"
    return next((name for is_it, name in THINGS if is_it(mode)), "something else")


def choose(kind: str, name: str, choices: Collection[Name]) -> Name:
    """Return the one of `choices` called `name`. Raises UsageError, which lists them, if there is none."""
    for choice in choices:
        if choice == name:
            return choice
    raise unknown(kind, name, choices)


def choose_all(kind: str, names: Iterable[str], choices: Collection[Name]) -> tuple[Name, ...]:
    """Return those of `choices` that are named, once each and in their order. Raises UsageError on others."""
    wanted = {choose(kind, name, choices) for name in names}
    return tuple(choice for choice in choices if choice in wanted)


def unknown(kind: str, got: str, choices: Iterable[str]) -> UsageError:
    """Return the error for a name that is not among `choices`, with all of them and the closest match."""
    names = sorted(choices)
    if len(names) > MOST_LISTED:
        close = ", ".join(get_close_matches(got, names, n=5, cutoff=0.3) or names[:5])
        return UsageError(f"unknown {kind} {got!r}: expected one of {len(names)} names, such as {close}")
    nearest = get_close_matches(got, names, n=1)
    hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
    one_of = f"one of {', '.join(names)}" if names else "none, since there are none"
    return UsageError(f"unknown {kind} {got!r}: expected {one_of}{hint}")
