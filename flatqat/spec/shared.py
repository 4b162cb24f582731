"""Equal values of many files are read once. Standard library only."""

import marshal
from collections.abc import Callable
from typing import Any

Reader = Callable[[Any], Any]
SHARED = "equal values are read once"
"""In a type `Annotated[kind, SHARED]`: a value that many files have is read, and kept in memory, once."""

MOST_SHARED = 256  # different values of one type


def shared(inner: Reader) -> Reader:
    """Return a reader that gives the same object for equal values, as long as they are not too many."""
    known: dict[bytes, Any] = {}
    last: tuple[Any, Any] = (None, None)

    def read(value: Any) -> Any:
        nonlocal last
        if value is not last[0] or value is None:
            last = value, read_anew(value)
        return last[1]

    def read_anew(value: Any) -> Any:
        key = marshal.dumps(value, 2)  # tells 1, 1.0 and True apart; later versions depend on identity
        if key not in known:
            if len(known) == MOST_SHARED:
                known.clear()
            known[key] = inner(value)
        return known[key]

    return read
