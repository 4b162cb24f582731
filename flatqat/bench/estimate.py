"""How long a plan will take: a few steps timed here and now, times how many are to come."""

from collections.abc import Callable, Sequence
from time import perf_counter

import torch
from torch.nn import functional as F

from flatqat import registry
from flatqat.bench.estimators import ITERATIONS, RADII
from flatqat.bench.plan import Job, Request
from flatqat.data.frames import cut
from flatqat.methods._base import Setup
from flatqat.models._base import build
from flatqat.quant._apply import quantize_

PRODUCT_PER_STEP = 2.0  # a Hessian-vector product costs about two training steps on as many images


def estimate(jobs: Sequence[Job], request: Request, device: torch.device) -> float:
    """Seconds for training, flatness and evaluation of `jobs`; decoding and corruptions are not counted."""
    timed: dict[tuple[str, str, str, str], tuple[float, float]] = {}
    total = 0.0
    for job in jobs:
        key = (job.suite.name, job.cell.model, job.cell.method, job.cell.quant)
        if key not in timed:
            timed[key] = _time(job, request, device)
        step, forward = timed[key]
        total += step * registry.load(registry.METHODS, job.cell.method).steps(job.budget)
        if job.scored:
            total += forward * sum(
                len(shift.build(request.data_root).sample(request.limit)) for shift in job.suite.scored
            )
        if job.scored and request.flatness:
            share = job.budget.flatness_images / job.budget.batch_size
            total += share * step * PRODUCT_PER_STEP * ITERATIONS
            total += forward * job.budget.flatness_images * 2 * job.budget.flatness_draws * len(RADII)
    return total


def _time(job: Job, request: Request, device: torch.device) -> tuple[float, float]:
    """Seconds of a training step, and of scoring one image."""
    model = build(job.cell.model, classes=job.suite.classes, seed=0)
    quantize_(model.net, job.quant)
    model.to(device)
    data = job.suite.train(request.data_root)
    x, y = data.seen(cut(model.frame)).batch(torch.arange(min(job.budget.batch_size, len(data))), device)
    method_type = registry.load(registry.METHODS, job.cell.method)
    method = method_type(
        Setup(model=model, loss=F.cross_entropy, budget=job.budget, amp=request.amp), job.config
    )
    method.begin([(x, y)])
    step = _fastest(lambda: method.step(x, y)["loss"].item())
    model.eval()
    with torch.inference_mode():
        forward = _fastest(lambda: model(x).sum().item())
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
