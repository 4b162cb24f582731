"""Jobs that cannot run or go wrong: each becomes a record with the reason, and the others go on."""

import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Literal

from flatqat.bench.cell.session import Lack
from flatqat.bench.plan.jobs import Job
from flatqat.console.progress import Progress
from flatqat.errors import FlatqatError, TrainingFailed
from flatqat.spec import Record


class Troubles:
    """The records of the jobs of a run that were skipped, failed or crashed."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._records: dict[str, Record] = {}

    def runnable(self, lacks: Iterable[Lack]) -> Iterator[Lack]:
        """Yield the jobs that can run, in order; others, also those of failed parents, are skipped."""
        for lack in lacks:
            if reason := lack.job.skip or self._blocked(lack.job):
                self._keep(lack.job, "skipped", reason)
            else:
                yield lack

    @contextmanager
    def catch(self, job: Job) -> Iterator[None]:
        """Turn a failed training or a bug into the job's record; a user's mistake ends the run."""
        try:
            yield
        except TrainingFailed as failure:
            self._progress.say(f"failed: {job.title}: {failure}")
            self._keep(job, "failed", str(failure))
        except FlatqatError:
            raise
        except Exception as bug:  # a bug of one method must not cost the others their results
            self._progress.say(f"crashed: {job.title}\n{traceback.format_exc()}")
            self._keep(job, "failed", f"crashed: {bug!r}")

    def get(self, job: Job) -> Record | None:
        """Return the record that says what went wrong with a job, or None."""
        return self._records.get(job.cell.id)

    def _keep(self, job: Job, status: Literal["failed", "skipped"], reason: str) -> None:
        self._records[job.cell.id] = Record(cell=job.cell, status=status, reason=reason)

    def _blocked(self, job: Job) -> str:
        trouble = job.parent and self.get(job.parent)
        return f"its parent {trouble.cell.label} {trouble.status}: {trouble.reason}" if trouble else ""
