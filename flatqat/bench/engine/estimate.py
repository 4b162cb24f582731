"""How long a plan will take: a few steps timed here and now, times how many are to come."""

from collections.abc import Callable, Sequence
from time import perf_counter

import torch

from flatqat import registry
from flatqat.bench.cell.batches import fixed_transform
from flatqat.bench.cell.restore import blank
from flatqat.bench.engine.train import training_rule
from flatqat.bench.flatness.estimators import ITERATIONS, RADII
from flatqat.bench.plan.jobs import Job
from flatqat.bench.plan.request import Request, lacking_spaces
from flatqat.console.progress import Progress
from flatqat.quant.apply import quantize_
from flatqat.spec import Flatness

PRODUCT_PER_PASS = 2.0  # a Hessian-vector product costs about two passes of training on as many images


def estimate(jobs: Sequence[Job], request: Request, device: torch.device, progress: Progress) -> float:
    """Seconds for training, flatness and evaluation; decoding, corruptions and `val_loss` are not counted."""
    alike = {_key(job): job for job in jobs}
    timed: dict[tuple[str, str, str, str], tuple[float, float]] = {}
    with progress.task("time a few steps", len(alike)) as advance:
        for key, job in alike.items():
            timed[key] = _time(job, request, device)
            advance(1)
    scored = {job.suite.name: job for job in jobs if job.scored}
    images = {name: _images(job, request) for name, job in scored.items()}
    total = 0.0
    for job in jobs:
        step, forward = timed[_key(job)]
        rule = registry.load(registry.METHODS, job.cell.method)
        total += step * rule.steps(job.recipe)
        if job.scored:
            total += forward * images[job.suite.name]
            spaces = len(lacking_spaces(job.cell, Flatness(), request))
            share = job.recipe.flatness_images / job.recipe.batch_size
            total += spaces * share * step / rule.passes * PRODUCT_PER_PASS * ITERATIONS
            moves = 2 * job.recipe.flatness_draws * len(RADII)
            total += spaces * forward * job.recipe.flatness_images * moves
    return total


def _key(job: Job) -> tuple[str, str, str, str]:
    """Jobs that have this in common take alike long a step."""
    return job.suite.name, job.cell.model, job.cell.method, job.cell.quant


def _images(job: Job, request: Request) -> int:
    """Images of all shifts together."""
    return sum(len(shift.build(request.data_root).sample(request.limit)) for shift in job.suite.scored)


def _time(job: Job, request: Request, device: torch.device) -> tuple[float, float]:
    """Seconds of a training step, and of scoring one image."""
    model = blank(job.cell, job.suite)
    quantize_(model.net, job.quant)
    model.to(device)
    data = job.suite.train(request.data_root)
    seen = data.transformed(fixed_transform(job.suite, model.eval_transform))
    x, y = seen.batch(torch.arange(min(job.recipe.batch_size, len(data))), device)
    method = training_rule(job, model, request, device)
    method.begin([(x, y)])
    step = _fastest(lambda: method.step(x, y)["loss"].item())
    model.eval()
    with torch.inference_mode():
        forward = _fastest(lambda: model.predict(x).sum().item())
    return step, forward / len(x)


def _fastest(call: Callable[[], float]) -> float:
    """The faster of two timed calls, after one that warms up."""
    call()
    times = []
    for _ in range(2):
        began = perf_counter()
        call()
        times.append(perf_counter() - began)
    return min(times)
