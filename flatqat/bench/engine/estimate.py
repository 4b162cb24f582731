"""How long a plan will take: the time of a few steps and images, multiplied by their number."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from timeit import repeat

import torch

from flatqat import registry
from flatqat.bench.cell.batches import fixed_transform
from flatqat.bench.cell.making import seconds_to_make, wait_for
from flatqat.bench.cell.restore import blank
from flatqat.bench.cell.session import Session
from flatqat.bench.engine.train import training_method
from flatqat.bench.flatness.estimators import ITERATIONS, RADII
from flatqat.bench.plan.jobs import Job
from flatqat.bench.plan.request import Request, lacking_spaces
from flatqat.data.images.views import eval_crop
from flatqat.methods.base import loss_of
from flatqat.metrics.task import task_of
from flatqat.quant.apply import quantize_
from flatqat.spec import Flatness

CALLS = 3
PRODUCT_PER_PASS = 2.0  # a Hessian-vector product costs about two passes of training on as many images


def estimate(jobs: Sequence[Job], session: Session) -> float:
    """Return the seconds of all work but the images of training and the looks at `val` of methods."""
    distinct = {_key(job): job for job in jobs}
    timed: dict[tuple[object, ...], tuple[float, float, float]] = {}
    with session.progress.task("time a few steps", len(distinct)) as advance:
        for key, job in distinct.items():
            timed[key] = _time(job, session)
            advance(1)
    scored = {job.suite.name: job for job in jobs if job.scored}
    images = {name: images_scored(job, session.request) for name, job in scored.items()}
    total = sum(_making(job, session) for job in scored.values())
    for job in jobs:
        step, forward, scoring = timed[_key(job)]
        method = registry.load(registry.METHODS, job.cell.method)
        total += step * method.steps(job.recipe)
        if job.scored:
            total += (scoring + forward * (passes_of(job) - 1)) * images[job.suite.name]
            spaces = len(lacking_spaces(job.cell, Flatness(), session.request))
            share = job.recipe.flatness_images / job.recipe.batch_size
            total += spaces * share * step / _passes(job) * PRODUCT_PER_PASS * ITERATIONS
            moves = 2 * job.recipe.flatness_draws * len(RADII)
            total += spaces * forward * job.recipe.flatness_images * moves
    return total


def _key(job: Job) -> tuple[object, ...]:
    """Return what decides the time of a step: jobs that share it are timed once."""
    cell = job.cell
    return job.suite.name, cell.model, cell.method, _passes(job), cell.quant, job.recipe.image_size


def _passes(job: Job) -> int:
    """Return the forward and backward passes of a training step."""
    return int(registry.load(registry.METHODS, job.cell.method).passes_with(job.config))


def images_scored(job: Job, request: Request) -> int:
    """Return the number of images of all shifts together."""
    return sum(len(shift.build(request.data_root).sample(request.limit)) for shift in job.suite.scored)


def passes_of(job: Job) -> int:
    """Return how often a network sees the images that it is scored on: once before, too, if it is adapted."""
    return 2 if job.cell.adapt else 1


def _making(job: Job, session: Session) -> float:
    """Return the seconds of making the images that the models of a suite are scored on, once for all."""
    request, transform = session.request, blank(job.cell, job.suite).eval_transform
    total = 0.0
    with session.progress.task("time a few images", len(job.suite.scored)) as advance:
        for shift in job.suite.scored:
            data = shift.build(request.data_root).sample(request.limit)
            cropped = data.transformed(eval_crop(transform)) if data.through_transform else data
            total += seconds_to_make(cropped, session.device, request.workers)
            advance(1)
    return total


def _time(job: Job, session: Session) -> tuple[float, float, float]:
    """Return the seconds of a training step, and of predicting and of scoring one image."""
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
    method.begin([(x, y)])
    takes_steps = registry.load(registry.METHODS, job.cell.method).steps(job.recipe) > 0
    step = _fastest(lambda: loss_of(method.step(x, y)).item()) if takes_steps else 0.0
    model.eval()

    def score() -> None:
        task_of(job.suite.task).meter(job.suite.classes).add(model.predict(x), y)
        wait_for(session.device)

    with torch.inference_mode():
        forward = _fastest(lambda: model.predict(x).sum().item())
        scoring = _fastest(score)
    return step, forward / len(x), scoring / len(x)


def _fastest(call: Callable[[], object]) -> float:
    """Return the seconds of the faster of two calls, after one that warms up."""
    return min(repeat(call, number=1, repeat=CALLS)[1:])
