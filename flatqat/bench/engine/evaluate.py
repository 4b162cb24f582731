"""Evaluate many models in one pass: each shift is read once, and every model runs on each batch."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import torch

from flatqat.bench.cell.batches import scoring_batch_size
from flatqat.bench.cell.failures import out_of_memory
from flatqat.bench.cell.memory import available
from flatqat.bench.cell.restore import Which, restore
from flatqat.bench.cell.session import Session
from flatqat.bench.engine.troubles import OF_ALL, Errors, Troubles
from flatqat.bench.plan.jobs import Job
from flatqat.data.images.views import eval_crop
from flatqat.errors import DataError
from flatqat.metrics.task import task_of
from flatqat.models.base import Normalized
from flatqat.quant.apply import cached_weights
from flatqat.spec import EvalTransform
from flatqat.suite import Shift, Suite

MEMORY_SHARE = 0.5


@torch.inference_mode()
def evaluate(suite: Suite, jobs: list[Job], session: Session, troubles: Troubles) -> None:
    """Score jobs on every shift whose scores are not stored; models with the same crop share its images.

    A job that fails is left to `troubles`. One that lacks memory beside others is scored again on its own,
    with batches of the same size: smaller ones could change the last digits of its numbers.
    """
    groups = _groups_in_memory(jobs, session)
    for group in groups:
        together = Together(group, session, troubles)
        title = f"evaluate {len(group)} model{'s' * (len(group) > 1)} on {suite.name}"
        with session.progress.task(title, len(suite.scored)) as advance:
            for which in dict.fromkeys(shift.weights for shift in suite.scored):
                together.restore(which)
                with cached_weights():
                    for shift in suite.scored:
                        if shift.weights == which:
                            together.score(shift)
                            advance(1)
        groups += [[job] for job in together.lacked_memory]


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
                    self.models[job.cell.id] = restore(job.cell, job.suite, store, device, which=which)

    @torch.inference_mode()
    def score(self, shift: Shift) -> None:
        """Run the models on a shift, and store the scores that are not stored yet."""
        store = self.session.store
        waiting = [job for job in self._running(self.jobs) if not store.has_scores(job.cell, shift.name)]
        if not waiting:
            return
        suite = waiting[0].suite
        task = task_of(suite.task)
        meters = {job.cell.id: task.meter(suite.classes, shift.class_subset) for job in waiting}
        with self.troubles.catch(*waiting):
            self._run(shift, waiting, meters)
        for job in self._running(waiting):
            with self._dropped_on_error(job):
                scores, outcomes = meters[job.cell.id].result()
                store.write_scores(job.cell, shift.name, scores, asdict(outcomes))

    def _run(self, shift: Shift, jobs: list[Job], meters: dict[str, Any]) -> None:
        """Run the models once over the images, those that want the same crop side by side."""
        request, device = self.session.request, self.session.device
        data = shift.build(request.data_root).sample(request.limit)
        by_transform: dict[EvalTransform | None, list[Job]] = {}
        for job in jobs:
            transform = self.models[job.cell.id].eval_transform if data.through_transform else None
            by_transform.setdefault(transform, []).append(job)
        for transform, members in by_transform.items():
            cropped = data.transformed(eval_crop(transform) if transform else None)
            for images, labels in cropped.batches(
                scoring_batch_size(cropped, device), device, request.workers
            ):
                if not (running := self._running(members)):
                    break
                for job in running:
                    with self._dropped_on_error(job):
                        meters[job.cell.id].add(self.models[job.cell.id].predict(images), labels)

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


def _groups_in_memory(jobs: list[Job], session: Session) -> list[list[Job]]:
    """Split jobs into groups whose weights take at most half of the free memory."""
    room = MEMORY_SHARE * available(session.device)
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
