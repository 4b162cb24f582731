"""Turn checks of data on disk, which raise DataError, into findings."""

from collections.abc import Callable

from flatqat.errors import DataError
from flatqat.finding import Finding


def run_check(check: Callable[[], str | Finding]) -> Finding:
    """Run a check and return its finding.

    Args:
        check: Returns the text of a good finding, or a finding. A DataError that it raises becomes a bad one.
    """
    try:
        result = check()
        return Finding(ok=True, what=result) if isinstance(result, str) else result
    except DataError as error:
        return finding_of(error)


def finding_of(error: DataError) -> Finding:
    """Return the bad finding for an error whose message is `cause; fix`."""
    what, _, fix = str(error).partition("; ")
    return Finding(ok=False, what=what, fix=fix)
