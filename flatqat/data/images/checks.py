"""Checks of data on disk as findings: the check that loading makes, told instead of raised."""

from collections.abc import Callable

from flatqat.errors import DataError
from flatqat.finding import Finding


def look(check: Callable[[], str | Finding]) -> Finding:
    """Run one check. A text that it returns is a good finding; a DataError (`cause; mend`) is a bad one."""
    try:
        found = check()
        return Finding(ok=True, what=found) if isinstance(found, str) else found
    except DataError as error:
        return refused(error)


def refused(error: DataError) -> Finding:
    """The bad finding that an error (`cause; mend`) tells."""
    what, _, mend = str(error).partition("; ")
    return Finding(ok=False, what=what, fix=mend)
