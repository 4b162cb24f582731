"""How long a plan will take: the time of a few steps and images, multiplied by their number."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from time import perf_counter
from timeit import repeat

import torch

from flatqat.bench.cell.batches import fixed_transform
from flatqat.bench.cell.making import seconds_to_make, wait_for
from flatqat.bench.cell.restore import blank
from flatqat.bench.cell.session import Lack, Session
from flatqat.bench.engine.adapting import is_adapted
from flatqat.bench.engine.train import training_method
from flatqat.bench.engine.troubles import Troubles
from flatqat.bench.engine.workload import (
    flatness_work,
    images_of,
    is_to_train,
    passes_of,
    shifts_to_score,
)
from flatqat.bench.plan.jobs import Job
from flatqat.bench.plan.of_method import passes
from flatqat.data.images.views import eval_crop
from flatqat.methods.base import loss_of
from flatqat.metrics.task import task_of
from flatqat.quant.apply import cached_weights, quantize_
from flatqat.spec import EvalTransform
from flatqat.suite import Shift

CALLS = 3
BATCHES = 2  # to begin a method with, if the recipe has as many for calibration


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """The seconds that parts of the work on a job take, and the transform of its model.

    Attributes:
        start: To load what is loaded once, and to build the network.
        begin: To begin training, for each batch of calibration.
        step: To take a training step.
        forward: To predict an image.
        scoring: To predict and score an image.
        transform: The crop of a model that has one of its own.
    """

    start: float = 0.0
    begin: float = 0.0
    step: float = 0.0
    forward: float = 0.0
    scoring: float = 0.0
    transform: EvalTransform | None = None


Times = dict[tuple[object, ...], Timed]
"""Seconds of parts of the work, by `_key`."""


def time_steps(todo: Sequence[Lack], session: Session, troubles: Troubles) -> Times:
    """Return how long the work on jobs takes; those that fail are left to `troubles`, as in a run.

    If one fails, so do those that differ in the seed alone; jobs with other settings are timed instead.
    """
    jobs = [lack.job for lack in todo]
    timed: Times = {}
    with session.progress.task("time a few steps", len(set(map(_key, jobs)))) as advance:
        for job in jobs:
            key = _key(job)
            if key in timed or troubles.get(job) or not troubles.can_run(job):
                continue
            alike = [other for other in jobs if _key(other) == key and _settings(other) == _settings(job)]
            with troubles.catch(*alike):
                timed[key] = _time(job, session)
                advance(1)
    return timed


def estimate(todo: Sequence[Lack], session: Session, timed: Times, processes: int = 1) -> float:
    """Return the seconds that the work takes, without loading training images and scoring `val` in training.

    The processes share the work, but a cell is trained after its parent, and scored after all trainings.
    """
    lacking = {lack.job.cell.id: shifts_to_score(lack, session) for lack in todo}
    scored: dict[str, list[Job]] = {}
    for job in (lack.job for lack in todo if lacking[lack.job.cell.id]):
        scored.setdefault(job.suite.key, []).append(job)
    images: dict[str, dict[str, int]] = {}
    total = 0.0
    for key, jobs in scored.items():
        shifts = {shift.name: shift for job in jobs for shift in lacking[job.cell.id]}
        adapted = {s.name for job in jobs for s in lacking[job.cell.id] if is_adapted(job, s)}
        images[key] = {name: images_of(shift, session.request) for name, shift in shifts.items()}
        total += _making(shifts.values(), adapted, timed[_key(jobs[0])], session)
    trainings = 0.0
    ends: dict[str, float] = {}  # of trainings that wait for nothing but their parents
    for lack in todo:
        job, one = lack.job, timed[_key(lack.job)]
        training = 0.0
        if is_to_train(job, session):
            training = one.begin * job.recipe.calibration_batches + one.step * job.method.steps(job.recipe)
        ends[job.cell.id] = training + (ends.get(job.parent.cell.id, 0.0) if job.parent else 0.0)
        trainings += training
        seen = sum(images[job.suite.key][shift.name] for shift in lacking[job.cell.id])
        total += seen * (one.scoring + one.forward * (passes_of(job) - 1))
        total += one.forward * flatness_work(lack, session)
    start = sum(one.start for one in timed.values())
    return start + max([trainings / processes, *ends.values()]) + total / processes


def _key(job: Job) -> tuple[object, ...]:
    """Return what decides the time of a step: jobs that share it are timed once."""
    cell, recipe = job.cell, job.recipe
    of_recipe = (recipe.batch_size, recipe.image_size, recipe.channels_last)
    return job.suite.name, cell.model, cell.method, passes(cell.method, job.config), cell.quant, *of_recipe


def _settings(job: Job) -> tuple[object, ...]:
    """Return what a user chose of a method and its recipe."""
    return job.cell.method_args, job.cell.recipe_args


def _making(shifts: Collection[Shift], adapted: Collection[str], timed: Timed, session: Session) -> float:
    """Return the seconds that making the images takes which all models of a suite are scored on.

    They are made once for all models, but twice for shifts in `adapted`, to which models are fitted first.
    """
    request, total = session.request, 0.0
    with session.progress.task("time a few images", len(shifts)) as advance:
        for shift in shifts:
            data = shift.build(request.data_root).sample(request.limit)
            view = eval_crop(timed.transform) if data.through_transform and timed.transform else None
            times = 2 if shift.name in adapted else 1
            total += times * seconds_to_make(data.transformed(view), session.device, request.workers)
            advance(1)
    return total


def _time(job: Job, session: Session) -> Timed:
    """Return how long the work on a job takes."""
    began = perf_counter()
    model = blank(job.cell, job.suite)
    quantize_(model.net, job.quant)
    model.to(session.device)
    data = job.suite.train(session.request.data_root)
    data = data.transformed(fixed_transform(job.suite, model.eval_transform))
    x, y = data.batch(torch.arange(min(job.recipe.batch_size, len(data))), session.device)
    recipe = replace(
        job.recipe, pretrain_steps=max(CALLS, job.recipe.pretrain_steps), steps=max(CALLS, job.recipe.steps)
    )
    method = training_method(replace(job, recipe=recipe), model, session)
    start = perf_counter() - began
    batches = max(1, min(BATCHES, job.recipe.calibration_batches))
    (began_in,) = repeat(lambda: method.begin([(x, y)] * batches), number=1, repeat=1)
    step = _fastest(lambda: loss_of(method.step(x, y)).item()) if job.trains else 0.0
    model.eval()

    def score() -> None:
        task_of(job.suite.task).meter(job.suite.classes).add(model.predict(x), y)
        wait_for(session.device)

    with torch.inference_mode(), cached_weights():
        forward = _fastest(lambda: model.predict(x).sum().item()) / len(x)
        scoring = _fastest(score) / len(x)
    transform = model.eval_transform
    return Timed(
        start=start,
        begin=began_in / batches,
        step=step,
        forward=forward,
        scoring=scoring,
        transform=transform,
    )


def _fastest(call: Callable[[], object]) -> float:
    """Return the seconds of the faster of two calls, after one that warms up."""
    return min(repeat(call, number=1, repeat=CALLS)[1:])
