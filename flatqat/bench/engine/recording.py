"""The last piece of work of a job: its record."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TypeVar

from flatqat.bench.cell.cell_cost import cost_of, network_of
from flatqat.bench.cell.failures import explained
from flatqat.bench.cell.halving import again
from flatqat.bench.engine.assemble import assemble, with_flatness
from flatqat.bench.engine.pieces import Measuring, Piece
from flatqat.bench.engine.whereabouts import scores_of
from flatqat.bench.plan.jobs import Job
from flatqat.bench.records.files import Arrays
from flatqat.bench.records.pictures import NOTHING, Predicted
from flatqat.bench.records.record_json import record_as_json
from flatqat.bench.records.revisions import now
from flatqat.spec import Cost, Record

T = TypeVar("T")


class Recording(Piece):
    """Write the record of a job once it lacks nothing else, or once it is in trouble."""

    @classmethod
    def name_of(cls, job: Job) -> str:
        """Return the name of the note that `Troubles.is_over` looks for."""
        return job.cell.id

    def is_done(self) -> bool:
        """Whether it was written in this run."""
        return self.share.claims.noted(self.name_of(self.job))

    def is_ready(self) -> bool:
        """Whether everything is there, or the job is in trouble."""
        share, lack = self.share, self.lack
        measured = not lack.spaces or share.claims.noted(Measuring.name_of(self.job))
        complete = measured and (not lack.scores or share.is_scored(self.job))
        return complete or share.troubles.get(self.job) is not None

    def run(self) -> None:
        """Write the record, note it, and drop what it was made of: in this order, or others would miss it."""
        self._keep()
        self.share.claims.note(self.name_of(self.job))
        if self.lack.scores or not self.share.troubles.get(self.job):
            self.share.session.store.drop_work(self.job.cell)

    def tell(self) -> None:
        """Show the outcome of the job, with the scores of its record."""
        job, share = self.job, self.share
        record = share.troubles.get(job) or share.session.store.record(job.cell)
        if record:
            share.session.progress.cell(job.cell.id, record.status, scores_of(record))

    def _keep(self) -> None:
        """Write the record; a failure never replaces a finished one, nor one that another run wrote."""
        lack, job, troubles = self.lack, self.job, self.share.troubles
        store, request = self.share.session.store, self.share.session.request
        made: tuple[Record, Arrays, Predicted] | None = None
        if lack.scores and not troubles.get(job) and (request.rerun or not store.finished(job.cell)):
            with troubles.catch(job, ends=()):
                made = self._again(partial(assemble, job, request, store, self.share.session.device))
                record_as_json(made[0])  # an unreadable one costs this cell alone
        trouble = troubles.get(job)
        if made and not trouble:
            record, outcomes, predicted = made
            self._write(replace(record, cost=self._cost()), outcomes, predicted)
        elif lack.scores and trouble and not store.finished(job.cell):
            self._write(trouble)
        elif not lack.scores and not trouble:
            self._write(with_flatness(job, store))

    def _cost(self) -> Cost | None:
        """Return what the network costs, or None if that fails: scores are recorded without it."""
        session, job = self.share.session, self.job
        known, network = session.costs, network_of(job.cell)
        try:
            if network not in known:
                costs = partial(cost_of, job.cell, job.suite, session.request.data_root, session.device)
                known[network] = self._again(costs).total()
            return known[network]
        except Exception as error:  # of the network's own code, which never ran on a single image
            explained(error, f"the cost of {job.title}", session.progress)
            return None

    def _again(self, work: Callable[[], T]) -> T:
        return again(work, f"the record of {self.job.title}", self.share.session.progress.say)

    def _write(self, record: Record, outcomes: Arrays | None = None, predicted: Predicted = NOTHING) -> None:
        self.share.session.store.write_record(replace(record, last_run=now()), outcomes, predicted)
