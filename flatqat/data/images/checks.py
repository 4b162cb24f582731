"""Turn checks of data on disk, which raise DataError, into findings."""

from collections.abc import Callable

from flatqat.errors import DataError
from flatqat.finding import Finding


def run_check(check: Callable[[], str | Finding]) -> Finding:
    """Run a check and return its finding; a text that it returns is a good one, a DataError a bad one."""
    try:
        result = check()
        return Finding(ok=True, what=result) if isinstance(result, str) else result
    except DataError as error:
        return finding_of(error)


def finding_of(error: DataError) -> Finding:
    """Return the bad finding for an error whose message is `cause; fix`."""
    what, _, fix = str(error).partition("; ")
    return Finding(ok=False, what=what, fix=fix)
