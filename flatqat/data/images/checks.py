"""Turn checks of data on disk, which raise DataError, into findings."""

from collections.abc import Callable, Iterable
from pathlib import Path

from flatqat.data.images.data_root import data_root
from flatqat.data.images.entries import unreadable
from flatqat.errors import DataError
from flatqat.finding import Finding

Verify = Callable[[Path | None], list[Finding]]


def with_data_root(needs: str, verify: Verify, root: Path | None) -> list[Finding]:
    """Return the findings of `verify`; if the data root, the folder of `needs`, is missing, that alone."""
    place = run_check(lambda: f"data root {data_root(root, needs)}")
    return verify(root) if place.ok else [place]


def untrainable(reason: str) -> Finding:
    """Return the partial finding that nothing can be trained, for a reason."""
    fix = "without them nothing is trained: methods that train are skipped"
    return Finding(ok=False, partial=True, what=reason, fix=fix)


def run_check(check: Callable[[], str | Finding]) -> Finding:
    """Run a check and return its finding; a text that it returns is a good one, an error a bad one."""
    try:
        result = check()
        return Finding(ok=True, what=result) if isinstance(result, str) else result
    except DataError as error:
        return finding_of(error)
    except OSError as error:
        return finding_of(unreadable(error))


def run_checks(checks: Iterable[Callable[[], str]], title: str, each: str) -> list[Finding]:
    """Check every corruption of a dataset; return one finding for all good ones and one for each bad one."""
    findings = [run_check(check) for check in checks]
    bad = [finding for finding in findings if not finding.ok]
    what = f"{title}: {len(findings) - len(bad)} of {len(findings)} corruptions, {each}"
    return [Finding(ok=True, what=what), *bad] if len(bad) < len(findings) else bad


def finding_of(error: DataError) -> Finding:
    """Return the bad finding for an error whose message is `cause; fix`."""
    what, _, fix = str(error).partition("; ")
    return Finding(ok=False, what=what, fix=fix)
