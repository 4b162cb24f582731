"""Jobs that cannot run or go wrong: each becomes a record with the reason, and the others go on."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Literal

from flatqat.bench.cell.failures import explained
from flatqat.bench.cell.session import Lack
from flatqat.bench.plan.jobs import Job
from flatqat.console.progress import Progress
from flatqat.errors import DataError, StoreError, Vanished
from flatqat.spec import Record

Errors = tuple[type[Exception], ...]
OF_ALL: Errors = (DataError, StoreError)
"""What would stop every other job, too: damaged data, a results folder that cannot be written."""


class Troubles:
    """The records of the jobs of a run that were skipped, failed or crashed."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._records: dict[str, Record] = {}

    def runnable(self, lacks: Iterable[Lack]) -> Iterator[Lack]:
        """Yield the jobs that can run, in order; others, also those of failed parents, are skipped."""
        for lack in lacks:
            if self.get(lack.job):
                continue
            if reason := lack.job.skip or self._blocked(lack.job):
                self._keep(lack.job, "skipped", reason)
            else:
                yield lack

    @contextmanager
    def catch(self, *jobs: Job, ends: Errors = OF_ALL) -> Iterator[None]:
        """Turn an error into the records of these jobs, so that it costs no other; errors in `ends` pass.

        So does a file that another run removed: `run` then looks again.
        """
        passing: Errors = (*ends, Vanished)
        try:
            yield
        except passing:
            raise
        except (Exception, SystemExit) as error:  # code of plugins may raise whatever it likes
            reason = explained(error, ", ".join(job.title for job in jobs), self._progress)
            for job in (job for job in jobs if not self.get(job)):
                self._keep(job, "failed", reason)

    def get(self, job: Job) -> Record | None:
        """Return the record that says what went wrong with a job, or None."""
        return self._records.get(job.cell.id)

    def _keep(self, job: Job, status: Literal["failed", "skipped"], reason: str) -> None:
        self._records[job.cell.id] = Record(cell=job.cell, status=status, reason=reason)

    def _blocked(self, job: Job) -> str:
        trouble = job.parent and self.get(job.parent)
        return f"its parent {trouble.cell.label} {trouble.status}: {trouble.reason}" if trouble else ""
