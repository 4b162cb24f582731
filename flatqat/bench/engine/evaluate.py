"""Evaluate many models in one pass: each shift is read once, and every model runs on each batch."""

import os
from collections.abc import Mapping
from dataclasses import asdict

import torch

from flatqat.bench.cell.batches import scoring_batch_size
from flatqat.bench.cell.restore import restore
from flatqat.bench.cell.session import Session
from flatqat.bench.plan.jobs import Job
from flatqat.data.images.views import eval_crop
from flatqat.metrics.task import task_of
from flatqat.models.base import Normalized
from flatqat.quant.apply import cached_weights
from flatqat.spec import EvalTransform
from flatqat.suite import Shift, Suite

MEMORY_SHARE = 0.5
UNKNOWN_MEMORY = 4 * 2**30


@torch.inference_mode()
def evaluate(suite: Suite, jobs: list[Job], session: Session) -> None:
    """Score jobs on every shift whose scores are not stored; models with the same crop share its images."""
    for group in _groups_in_memory(jobs, session):
        title = f"evaluate {len(group)} model{'s' * (len(group) > 1)} on {suite.name}"
        with session.progress.task(title, len(suite.scored)) as advance:
            for which in dict.fromkeys(shift.weights for shift in suite.scored):
                models = {
                    job.cell.id: restore(job.cell, suite, session.store, session.device, which=which)
                    for job in group
                }
                with cached_weights():
                    for shift in suite.scored:
                        if shift.weights == which:
                            score(shift, models, group, session)
                            advance(1)


@torch.inference_mode()
def score(shift: Shift, models: Mapping[str, Normalized], jobs: list[Job], session: Session) -> None:
    """Run the jobs' models, given by cell id, on a shift, and store the scores that are not stored yet."""
    request, store, device = session.request, session.store, session.device
    waiting = [job for job in jobs if not store.has_scores(job.cell, shift.name)]
    if not waiting:
        return
    data = shift.build(request.data_root).sample(request.limit)
    suite = waiting[0].suite
    task = task_of(suite.task)
    meters = {job.cell.id: task.meter(suite.classes, shift.class_subset) for job in waiting}
    by_transform: dict[EvalTransform | None, list[str]] = {}
    for cell_id in meters:
        transform = models[cell_id].eval_transform if data.through_transform else None
        by_transform.setdefault(transform, []).append(cell_id)
    for transform, cell_ids in by_transform.items():
        cropped = data.transformed(eval_crop(transform) if transform else None)
        for images, labels in cropped.batches(scoring_batch_size(cropped, device), device, request.workers):
            for cell_id in cell_ids:
                meters[cell_id].add(models[cell_id].predict(images), labels)
    for job in waiting:
        scores, outcomes = meters[job.cell.id].result()
        store.write_scores(job.cell, shift.name, scores, asdict(outcomes))


def _groups_in_memory(jobs: list[Job], session: Session) -> list[list[Job]]:
    """Split jobs into groups whose weights take at most half of the free memory."""
    room = MEMORY_SHARE * _free_memory(session.device)
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


def _free_memory(device: torch.device) -> int:
    """Return the free memory in bytes."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError):  # not every system reports it
        return UNKNOWN_MEMORY
