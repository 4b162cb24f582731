"""Evaluate many models in one pass: each shift is read once, and every model runs on each batch."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import chain
from typing import TypeVar

import torch

from flatqat.bench.cell.batches import Batch, scoring_batch_size
from flatqat.bench.cell.failures import out_of_memory
from flatqat.bench.cell.restore import Which, channels_last_, restore
from flatqat.bench.cell.session import Session
from flatqat.bench.engine.troubles import OF_ALL, Errors, Troubles
from flatqat.bench.plan.jobs import Job
from flatqat.bench.records.claims import Claims
from flatqat.data.images.views import eval_crop
from flatqat.data.tensors.reading import Reader, one_ahead
from flatqat.errors import DataError
from flatqat.memory import available_memory
from flatqat.metrics.task import Meter, task_of
from flatqat.models.base import Normalized
from flatqat.quant.apply import cached_weights
from flatqat.spec import EvalTransform
from flatqat.suite import Shift, Suite

MEMORY_SHARE = 0.5

T = TypeVar("T")


@torch.inference_mode()
def evaluate(suite: Suite, jobs: list[Job], session: Session, troubles: Troubles, claims: Claims) -> bool:
    """Score jobs on every shift whose scores are not stored; models with the same crop share its images.

    Leaves out the shifts that other processes are at; returns whether there were any others. A job that fails
    is left to `troubles`. One that lacks memory beside others is scored again on its own, with batches of the
    same size: smaller ones could change the last digits of its numbers.
    """
    groups, found = _groups_in_memory(jobs, session), False
    for group in groups:
        together = Together(group, session, troubles)
        title = f"evaluate {len(group)} model{'s' * (len(group) > 1)} on {suite.name}"
        for which in dict.fromkeys(shift.weights for shift in suite.scored):
            shifts = {f"{suite.key}-{s.name}": s for s in suite.scored if s.weights == which}
            with claims.each(shifts, together.has_scored) as free:
                if (first := next(free, None)) is None:
                    continue
                found = True
                together.restore(which)
                left = sum(not together.has_scored(shift) for shift in shifts.values())
                with session.progress.task(title, left) as advance:
                    together.score(chain([first], free), advance)
        groups += [[job] for job in together.lacked_memory]
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """One pass over the images of a shift, for the jobs that lack its scores, with a meter for each.

    `batches` returns those of each crop with the jobs whose models want it, or raises what prevents them.
    """

    shift: Shift
    jobs: list[Job]
    meters: dict[str, Meter]
    batches: Callable[[], list[tuple[list[Job], Iterator[Batch]]]]


class Together:
    """The models of some jobs of one suite, which see the same batches; one that fails drops out."""

    def __init__(self, jobs: list[Job], session: Session, troubles: Troubles) -> None:
        self.jobs, self.session, self.troubles = jobs, session, troubles
        self.models: dict[str, Normalized] = {}
        self.lacked_memory: list[Job] = []
        """The jobs that may go through on their own."""

    def restore(self, which: Which = "selected") -> None:
        """Put the stored models of all jobs into memory, in place of others."""
        self.models.clear()
        store, device = self.session.store, self.session.device
        for job in self.jobs:
            if not self.troubles.get(job) and job not in self.lacked_memory:
                with self._dropped_on_error(job, ends=(DataError,)):
                    model = restore(job.cell, job.suite, store, device, which=which)
                    self.models[job.cell.id] = channels_last_(model) if model.amp else model

    def has_scored(self, shift: Shift) -> bool:
        """Whether the scores of all jobs on a shift are stored, or never will be."""
        return not any(self._lacks(job, shift) for job in self.jobs if job not in self.lacked_memory)

    def _lacks(self, job: Job, shift: Shift) -> bool:
        """Whether a job has neither scores nor, which is looked at later since they go with it, a record."""
        return not (self.session.store.has_scores(job.cell, shift.name) or self.troubles.is_over(job))

    @torch.inference_mode()
    def score(self, shifts: Iterable[Shift], advance: Callable[[int], None] = lambda count: None) -> None:
        """Run the models on shifts, and store the scores that are not stored yet.

        While a shift is scored, threads make the first images of the next one and store the scores of the
        one before.
        """
        reader = Reader(self.session.device, self.session.request.workers)
        with cached_weights(), reader, ThreadPoolExecutor(1) as writer:
            written: list[tuple[Job, Future[None]]] = []
            for sweep in one_ahead(self._begin(shift, reader) for shift in shifts):
                with self.troubles.catch(*sweep.jobs):
                    self._run(sweep)
                self._check(written)
                written = [(job, writer.submit(self._write, job, sweep)) for job in self._running(sweep.jobs)]
                advance(1)
            self._check(written)

    def _begin(self, shift: Shift, reader: Reader) -> Sweep:
        """Begin to read a shift; an error waits for the shift's turn."""
        jobs = [job for job in self._running(self.jobs) if self._lacks(job, shift)]
        return Sweep(
            shift=shift,
            jobs=jobs,
            meters={
                job.cell.id: task_of(job.suite.task).meter(job.suite.classes, shift.class_subset)
                for job in jobs
            },
            batches=tried(lambda: self._read(shift, jobs, reader) if jobs else []),
        )

    def _read(self, shift: Shift, jobs: list[Job], reader: Reader) -> list[tuple[list[Job], Iterator[Batch]]]:
        request, device = self.session.request, self.session.device
        data = shift.build(request.data_root).sample(request.limit)
        by_transform: dict[EvalTransform | None, list[Job]] = {}
        for job in jobs:
            transform = self.models[job.cell.id].eval_transform if data.through_transform else None
            by_transform.setdefault(transform, []).append(job)
        batches = []
        for transform in by_transform:
            cropped = data.transformed(eval_crop(transform) if transform else None)
            batches.append(reader.batches(cropped.parts(scoring_batch_size(cropped, device))))
        return list(zip(by_transform.values(), batches, strict=True))

    def _run(self, sweep: Sweep) -> None:
        """Run the models once over the images, those that want the same crop side by side."""
        for members, batches in sweep.batches():
            for images, labels in batches:
                if not (running := self._running(members)):
                    break
                for job in running:
                    with self._dropped_on_error(job):
                        sweep.meters[job.cell.id].add(self.models[job.cell.id].predict(images), labels)

    def _write(self, job: Job, sweep: Sweep) -> None:
        scores, outcomes = sweep.meters[job.cell.id].result()
        self.session.store.write_scores(job.cell, sweep.shift.name, scores, asdict(outcomes))

    def _check(self, written: list[tuple[Job, Future[None]]]) -> None:
        """Wait until scores are stored; a job whose scores cannot be drops out."""
        for job, future in written:
            with self._dropped_on_error(job):
                future.result()

    def _running(self, jobs: list[Job]) -> list[Job]:
        return [job for job in jobs if job.cell.id in self.models and not self.troubles.get(job)]

    @contextmanager
    def _dropped_on_error(self, job: Job, ends: Errors = OF_ALL) -> Iterator[None]:
        """Leave an error to `troubles`, but lack of memory beside other models to another try."""
        with self.troubles.catch(job, ends=ends):
            try:
                yield
            except Exception as error:
                self.models.pop(job.cell.id, None)
                if len(self.jobs) == 1 or not out_of_memory(error):
                    raise
                self.lacked_memory.append(job)


def tried(call: Callable[[], T]) -> Callable[[], T]:
    """Call at once, and return what gives the result, or raises the error, later."""
    outcome: Future[T] = Future()
    try:
        outcome.set_result(call())
    except (Exception, SystemExit) as error:  # plugins may raise whatever they like
        outcome.set_exception(error)
    return outcome.result


def _groups_in_memory(jobs: list[Job], session: Session) -> list[list[Job]]:
    """Split jobs into groups whose weights take at most half of this process's part of the free memory."""
    room = MEMORY_SHARE * available_memory(session.device) / (session.request.jobs or 1)
    groups: list[list[Job]] = []
    used = 0
    for job in jobs:
        size = 2 * session.store.weights_size(job.cell)  # the latent and the rounded weights
        if not groups or used + size > room:
            groups.append([])
            used = 0
        groups[-1].append(job)
        used += size
    return groups
