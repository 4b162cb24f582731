"""Jobs that cannot run or go wrong: each becomes a record with the reason, and the others go on."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Literal

from flatqat.bench.cell.failures import explained
from flatqat.bench.plan.jobs import Job
from flatqat.bench.records.claims import Claims
from flatqat.console.progress import Progress
from flatqat.errors import DataError, RankLost, StoreError, Vanished
from flatqat.spec import Record

Status = Literal["failed", "skipped"]
Errors = tuple[type[Exception], ...]
OF_ALL: Errors = (DataError, StoreError, RankLost)
"""What would stop every other job, too: damaged data, a results folder that cannot be written, or that one of
the processes that train together has ended."""
NOTE = "trouble-"


def note_of(job: Job) -> str:
    """Return the name of the note that says what went wrong with a job."""
    return NOTE + job.cell.id


class Troubles:
    """The records of the jobs that were skipped, failed or crashed, in any process of the run."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._known: dict[str, tuple[Status, str]] = {}
        self._claims: Claims | None = None

    def share(self, claims: Claims) -> None:
        """Share failed and skipped jobs with the other processes of the run from now on."""
        self._claims = claims
        for cell_id, trouble in self._known.items():
            claims.note(NOTE + cell_id, json.dumps(trouble))
        self.look()

    def look(self) -> None:
        """Read which jobs went wrong in the other processes."""
        if self._claims:
            for cell_id, text in self._claims.notes(NOTE).items():
                with suppress(ValueError):  # it is just being written
                    status, reason = json.loads(text)
                    self._known.setdefault(cell_id, (status, reason))

    def can_run(self, job: Job) -> bool:
        """Whether a job can run: one that cannot, or whose parent failed, is skipped."""
        if reason := job.skip or self._blocked(job):
            self._keep(job, "skipped", reason)
        return not reason

    @contextmanager
    def catch(self, *jobs: Job, ends: Errors = OF_ALL) -> Iterator[None]:
        """Record an error as the failure of these jobs, so that it costs no others; errors in `ends` pass.

        Vanished passes, too: `take_part` then makes its list again.
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
        if (trouble := self._known.get(job.cell.id)) is None:
            return None
        status, reason = trouble
        return Record(cell=job.cell, status=status, reason=reason)

    def is_over(self, job: Job) -> bool:
        """Whether nothing is left to do for a job: it is in trouble, or its record has been written."""
        return job.cell.id in self._known or bool(self._claims and self._claims.noted(job.cell.id))

    def _keep(self, job: Job, status: Status, reason: str) -> None:
        self._known[job.cell.id] = status, reason
        if self._claims:
            self._claims.note(note_of(job), json.dumps((status, reason)))

    def _blocked(self, job: Job) -> str:
        trouble = job.parent and self.get(job.parent)
        return f"its parent {trouble.cell.label} {trouble.status}: {trouble.reason}" if trouble else ""
