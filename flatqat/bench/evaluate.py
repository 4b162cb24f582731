"""Evaluate many models in one pass: each shift is read once, every waiting model runs on each batch."""

import os
from dataclasses import asdict

import torch

from flatqat.bench.plan import Job, Request
from flatqat.bench.progress import Progress
from flatqat.bench.restore import restore
from flatqat.bench.store import Store
from flatqat.metrics import meter
from flatqat.quant._apply import rounded_once
from flatqat.spec import Suite

BATCH_SIZE = 256
MEMORY_SHARE = 0.5
UNKNOWN_MEMORY = 4 * 2**30


@torch.inference_mode()
def evaluate(
    suite: Suite, jobs: list[Job], request: Request, store: Store, device: torch.device, progress: Progress
) -> None:
    """Score every job on every shift of the suite; what is stored already is not computed again."""
    for group in _groups_in_memory(jobs, store, device):
        models = {job.cell.id: restore(job.cell, suite, store, device) for job in group}
        title = f"evaluate {len(group)} model{'s' * (len(group) > 1)} on {suite.name}"
        with progress.task(title, len(suite.scored)) as advance, rounded_once():
            for shift in suite.scored:
                waiting = [job for job in group if not store.has_scores(job.cell, shift.name)]
                if waiting:
                    data = shift.build(request.data_root).sample(request.limit)
                    meters = {job.cell.id: meter(suite.task, suite.classes) for job in waiting}
                    for images, labels in data.batches(BATCH_SIZE, device):
                        for cell_id, one in meters.items():
                            with torch.autocast(device.type, torch.bfloat16, enabled=request.amp):
                                output = models[cell_id](images)
                            one.add(output, labels)
                    for job in waiting:
                        scores, outcomes = meters[job.cell.id].result()
                        store.write_scores(job.cell, shift.name, scores, asdict(outcomes))
                advance(1)


def _groups_in_memory(jobs: list[Job], store: Store, device: torch.device) -> list[list[Job]]:
    """Split jobs so that the weights of each group take at most half of the memory that is free."""
    budget = MEMORY_SHARE * _free_memory(device)
    groups: list[list[Job]] = []
    used = 0
    for job in jobs:
        size = 2 * store.weights_path(job.cell).stat().st_size  # the latent and the rounded weights
        if not groups or used + size > budget:
            groups.append([])
            used = 0
        groups[-1].append(job)
        used += size
    return groups


def _free_memory(device: torch.device) -> int:
    """Bytes."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError):  # systems that do not tell
        return UNKNOWN_MEMORY
