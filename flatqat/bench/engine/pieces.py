"""The pieces of work that a run consists of, each for the first process that takes it.

A piece finds out from the results folder whether it is done, by whichever process, and whether it can be done
now. So processes share the work of a folder and need to know nothing else of each other.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from flatqat.bench.cell.session import Lack, Session
from flatqat.bench.engine.countdown import Countdown
from flatqat.bench.engine.evaluate import evaluate
from flatqat.bench.engine.keep import check_recorded
from flatqat.bench.engine.train import train
from flatqat.bench.engine.troubles import Troubles
from flatqat.bench.engine.workload import flatness_work, scoring_work, training_work
from flatqat.bench.flatness.measure import measure
from flatqat.bench.plan.jobs import Job
from flatqat.bench.records.claims import Claims
from flatqat.bench.records.weights import training_log
from flatqat.console.board import State
from flatqat.errors import StoreError


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What a process needs to take part in a run."""

    session: Session
    troubles: Troubles
    claims: Claims

    def train(self, job: Job) -> None:
        """Train a job."""
        train(job, self.session)

    def is_trained(self, job: Job) -> bool:
        """Whether the weights of a job are stored; those of a job that cannot run do not count."""
        return not job.skip and self.session.store.has_weights(job.cell)

    def is_scored(self, job: Job) -> bool:
        """Whether the scores of a job on all shifts are there."""
        return all(self.session.store.has_scores(job.cell, shift.name) for shift in job.suite.scored)

    def tell(self, job: Job, state: State) -> None:
        """Show the state of a job in the progress display, or its trouble."""
        trouble = self.troubles.get(job)
        self.session.progress.cell(job.cell.id, trouble.status if trouble else state)


class Piece:
    """A piece of work for one job, done under a claim."""

    work = 0.0
    """How much is left of it, in forward passes of one image."""

    def __init__(self, lack: Lack, share: Share, title: str = "") -> None:
        """Take what a job lacks; `title`, unless it is empty, is announced when the piece begins."""
        self.lack, self.job, self.share, self.title = lack, lack.job, share, title

    @classmethod
    def name_of(cls, job: Job) -> str:
        """Return the name under which the piece is claimed and, if a note says that it is done, noted."""
        return f"{cls.__name__.lower()}-{job.cell.id}"

    def is_done(self) -> bool:
        """Whether nothing is left to do, also because the job is in trouble."""
        raise NotImplementedError

    def is_ready(self) -> bool:
        """Whether what it needs is there."""
        raise NotImplementedError

    def do(self, countdown: Countdown) -> bool:
        """Do the piece under a claim; return False if another process holds it."""
        with self.share.claims.hold(self.name_of(self.job)) as mine:
            if mine and not self.is_done():  # done by another process since the last check?
                if self.title:
                    countdown.say(self.title)
                self.run()
        return mine

    def run(self) -> None:
        """Do what was claimed."""
        raise NotImplementedError

    def tell(self) -> None:
        """Show in the progress display that it is done, by whichever process."""


class Training(Piece):
    """Train a job, once its parent is."""

    def __init__(self, lack: Lack, share: Share, title: str = "") -> None:
        super().__init__(lack, share, title)
        self.work = training_work(lack, share.session)

    @classmethod
    def name_of(cls, job: Job) -> str:
        """Return the name of its claim: jobs that differ only in what is scored share their weights."""
        return f"training-{job.cell.training_id}"

    def is_done(self) -> bool:
        """Whether the weights are stored, or never will be."""
        return self.share.troubles.is_over(self.job) or self.share.is_trained(self.job)

    def is_ready(self) -> bool:
        """Whether what it starts from is there, or never will be."""
        parent = self.job.parent
        return not parent or self.share.is_trained(parent) or self.share.troubles.is_over(parent)

    def run(self) -> None:
        """Train the job, or skip it."""
        if self.share.troubles.can_run(self.job):
            self.share.tell(self.job, "starting")
            with self.share.troubles.catch(self.job):
                self.share.train(self.job)

    def tell(self) -> None:
        """Show that the job is trained."""
        self.share.tell(self.job, "trained")


class Measuring(Piece):
    """Measure the flatness of a trained job."""

    def __init__(self, lack: Lack, share: Share, title: str = "") -> None:
        super().__init__(lack, share, title)
        self.work = flatness_work(lack, share.session)

    def is_done(self) -> bool:
        """Whether it was measured in this run, or never will be."""
        return self.share.troubles.is_over(self.job) or self.share.claims.noted(self.name_of(self.job))

    def is_ready(self) -> bool:
        """Whether the weights are there."""
        return self.share.is_trained(self.job)

    def run(self) -> None:
        """Measure what the job lacks."""
        session = self.share.session
        with self.share.troubles.catch(self.job):
            with suppress(StoreError):  # measuring says what is wrong with them
                check_recorded(self.job, session, training_log(session.store.weights_path(self.job.cell)))
            measure(self.lack, session)
            self.share.claims.note(self.name_of(self.job))

    def tell(self) -> None:
        """Show that the job is measured."""
        self.share.tell(self.job, "measured")


class Scoring(Piece):
    """Score the trained jobs of a suite, once none is left to train; each shift is claimed on its own."""

    def __init__(self, lacks: Sequence[Lack], share: Share) -> None:
        first, *others = lacks
        super().__init__(first, share, f"score {len(lacks)} cells of {first.job.suite.key}" if others else "")
        self.jobs = [lack.job for lack in lacks]
        self.work = sum(scoring_work(lack, share.session) for lack in lacks)

    def is_done(self) -> bool:
        """Whether the scores of all jobs are stored, or never will be."""
        return all(self.share.troubles.is_over(job) or self.share.is_scored(job) for job in self.jobs)

    def is_ready(self) -> bool:
        """Whether the weights of all jobs are there, or never will be."""
        return all(self.share.troubles.is_over(job) or self.share.is_trained(job) for job in self.jobs)

    def do(self, countdown: Countdown) -> bool:
        """Score the shifts that no other process has claimed; return False if there are none."""
        share = self.share
        jobs = [job for job in self.jobs if not share.troubles.is_over(job)]
        if self.title:
            countdown.say(self.title)
            self.title = ""
        return evaluate(self.job.suite, jobs, share.session, share.troubles, share.claims)

    def tell(self) -> None:
        """Show that all jobs are scored."""
        for job in self.jobs:
            self.share.tell(job, "scored")


def pieces_of(todo: Sequence[Lack], share: Share) -> list[Piece]:
    """Return all pieces, in the order in which they are taken: trainings first, since others wait for them.

    The first piece of each job announces the job's number among all.
    """
    generations = sorted(todo, key=lambda lack: _ancestors(lack.job))
    trainings: list[Piece] = []
    measurements: list[Piece] = []
    for number, lack in enumerate(generations, start=1):
        title = f"network {number} of {len(todo)}: {lack.job.title}" if len(todo) > 1 else ""
        trainings.append(training := Training(lack, share, title))
        if lack.spaces:
            measurements.append(flatness := Measuring(lack, share))
            flatness.title = title if flatness.work and training.is_done() else ""
    by_suite: dict[str, list[Lack]] = {}
    for lack in (lack for lack in todo if lack.scores):
        by_suite.setdefault(lack.job.suite.key, []).append(lack)
    return [*trainings, *measurements, *(Scoring(lacks, share) for lacks in by_suite.values())]


def _ancestors(job: Job) -> int:
    return 1 + _ancestors(job.parent) if job.parent else 0
