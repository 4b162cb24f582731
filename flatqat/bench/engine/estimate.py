"""How long a plan will take: the time of a few steps and images, multiplied by their number."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from time import perf_counter
from timeit import repeat

import torch

from flatqat import registry
from flatqat.bench.cell.batches import fixed_transform
from flatqat.bench.cell.making import seconds_to_make, wait_for
from flatqat.bench.cell.restore import blank
from flatqat.bench.cell.session import Lack, Session
from flatqat.bench.engine.adapting import is_adapted
from flatqat.bench.engine.train import training_method
from flatqat.bench.engine.troubles import Troubles
from flatqat.bench.flatness.estimators import ITERATIONS, RADII
from flatqat.bench.plan.jobs import Job
from flatqat.bench.plan.request import Request
from flatqat.data.images.views import eval_crop
from flatqat.methods.base import loss_of
from flatqat.metrics.task import task_of
from flatqat.quant.apply import cached_weights, quantize_
from flatqat.spec import EvalTransform
from flatqat.suite import Shift

CALLS = 3
BATCHES = 2  # that a method is begun with, where the recipe has as many for calibration
PRODUCT_PER_PASS = 2.0  # a Hessian-vector product costs about two passes of training on as many images


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """Seconds of parts of the work on a job, and what its model does to images before it sees them.

    Attributes:
        start: Of loading what is loaded once, and of building the network.
        begin: Of beginning to train, for each batch of calibration.
        step: Of a training step.
        forward: Of predicting an image.
        scoring: Of predicting and scoring it.
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
    """Return how long the work on jobs takes; one that fails is left to `troubles`, as in a run.

    So are those that differ from it in their seed alone. Jobs with other settings are timed in its place.
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
    """Return the seconds of all work but the images of training and the looks at `val` of methods.

    Several processes share it, but a cell is trained after its parent, and scored after all trainings.
    """
    scored: dict[str, list[Job]] = {}
    for job in (lack.job for lack in todo if lack.scores):
        scored.setdefault(job.suite.name, []).append(job)
    images = {name: images_scored(jobs[0], session.request) for name, jobs in scored.items()}
    total = sum(_making(jobs, timed[_key(jobs[0])], session) for jobs in scored.values())
    trainings = 0.0
    ends: dict[str, float] = {}  # of the training of each cell, where nothing waits but for its parent
    for lack in todo:
        job, one = lack.job, timed[_key(lack.job)]
        training = 0.0
        if not session.store.has_weights(job.cell):
            steps = registry.load(registry.METHODS, job.cell.method).steps(job.recipe)
            training = one.begin * job.recipe.calibration_batches + one.step * steps
        ends[job.cell.id] = training + (ends.get(job.parent.cell.id, 0.0) if job.parent else 0.0)
        trainings += training
        if lack.scores:
            total += (one.scoring + one.forward * (passes_of(job) - 1)) * images[job.suite.name]
        spaces, share = len(lack.spaces), job.recipe.flatness_images / job.recipe.batch_size
        total += spaces * share * one.step / _passes(job) * PRODUCT_PER_PASS * ITERATIONS
        moves = 2 * job.recipe.flatness_draws * len(RADII)
        total += spaces * one.forward * job.recipe.flatness_images * moves
    start = sum(one.start for one in timed.values())
    return start + max([trainings / processes, *ends.values()]) + total / processes


def _key(job: Job) -> tuple[object, ...]:
    """Return what decides the time of a step: jobs that share it are timed once."""
    cell, recipe = job.cell, job.recipe
    of_recipe = (recipe.image_size, recipe.channels_last)
    return job.suite.name, cell.model, cell.method, _passes(job), cell.quant, *of_recipe


def _settings(job: Job) -> tuple[object, ...]:
    """Return what a user chose of a method and its recipe."""
    return job.cell.method_args, job.cell.recipe_args


def _passes(job: Job) -> int:
    """Return the forward and backward passes of a training step."""
    return int(registry.load(registry.METHODS, job.cell.method).passes_with(job.config))


def images_scored(job: Job, request: Request) -> int:
    """Return the number of images of all shifts together."""
    return sum(images_of(shift, request) for shift in job.suite.scored)


def images_of(shift: Shift, request: Request) -> int:
    """Return the number of images of a shift that are scored."""
    return len(shift.build(request.data_root).sample(request.limit))


def passes_of(job: Job) -> int:
    """Return how often a network sees the images that it is scored on: once before, too, if it is adapted."""
    return 2 if job.cell.adapt else 1


def _making(jobs: Sequence[Job], timed: Timed, session: Session) -> float:
    """Return the seconds of making the images that the models of a suite are scored on, once for all.

    They are made once before, too, if models are fitted to them.
    """
    request, suite, total = session.request, jobs[0].suite, 0.0
    with session.progress.task("time a few images", len(suite.scored)) as advance:
        for shift in suite.scored:
            data = shift.build(request.data_root).sample(request.limit)
            view = eval_crop(timed.transform) if data.through_transform and timed.transform else None
            times = 1 + any(is_adapted(job, shift) for job in jobs)
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
    takes_steps = registry.load(registry.METHODS, job.cell.method).steps(job.recipe) > 0
    step = _fastest(lambda: loss_of(method.step(x, y)).item()) if takes_steps else 0.0
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
