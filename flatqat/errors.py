"""All errors that a user can cause, in one tree.

    FlatqatError            exit code 2, one line, no traceback
    ├── UsageError          an unknown name, a malformed option, an impossible matrix
    ├── DataError           a missing folder, a wrong layout, an unreadable image, labels out of range
    ├── WeightsError        a checkpoint that is missing, unsafe, damaged or of another network
    ├── StoreError          a results folder that cannot be written, a record that cannot be read
    └── PluginError         a plugin file that fails to import or exports nothing
    TrainingFailed          one cell failed; its record holds the reason, and all other cells still run

Any other exception is a bug in flatqat and shows its traceback.
"""

from collections.abc import Collection, Iterable
from difflib import get_close_matches
from typing import TypeVar

Name = TypeVar("Name", bound=str)


class FlatqatError(Exception):
    """A mistake that the user can fix; the message says what was expected, what was found and what to do."""


class UsageError(FlatqatError):
    """An unknown name, a malformed option or an impossible combination."""


class DataError(FlatqatError):
    """Data on disk that is missing, damaged or in the wrong layout."""


class WeightsError(FlatqatError):
    """A checkpoint that cannot be loaded safely and completely."""


class StoreError(FlatqatError):
    """A results folder or a record that cannot be used."""


class PluginError(FlatqatError):
    """A plugin that fails to import or does not export what its kind requires."""


class TrainingFailed(Exception):
    """Training of one cell failed, for the reason in the message: a loss that is not finite, no memory."""


MOST_LISTED = 30


def listed(names: Collection[object], most: int = 4, *, empty: str = "none") -> str:
    """Return `a, b, c and 7 more`: the first `most` names and how many others there are."""
    first = ", ".join(str(name) for name, _ in zip(names, range(most), strict=False))
    return f"{first} and {len(names) - most:,} more" if len(names) > most else first or empty


def choose(kind: str, name: Name, choices: Collection[str]) -> Name:
    """Return `name` if it is among `choices`. Raises UsageError, which lists the choices, if it is not."""
    if name not in choices:
        raise unknown(kind, name, choices)
    return name


def unknown(kind: str, got: str, choices: Iterable[str]) -> UsageError:
    """Return the error for a name that is not among `choices`, with all of them and the closest match."""
    names = sorted(choices)
    nearest = get_close_matches(got, names, n=1)
    hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
    if len(names) > MOST_LISTED:
        close = get_close_matches(got, names, n=5, cutoff=0.3)
        return UsageError(
            f"unknown {kind} {got!r}: expected one of {len(names)} names, such as {', '.join(close)}"
        )
    return UsageError(f"unknown {kind} {got!r}: expected one of {', '.join(names) or '(none)'}{hint}")
