"""The record of a cell, put together from what training, measuring and evaluating left in the store."""

from dataclasses import asdict, replace
from typing import Any

import torch

from flatqat import registry
from flatqat.bench.cell.environment import environment
from flatqat.bench.engine.train import training_log
from flatqat.bench.plan.jobs import Job
from flatqat.bench.plan.request import Request
from flatqat.bench.records.store import Arrays, Store
from flatqat.spec import Record, Score


def assemble(job: Job, request: Request, store: Store, device: torch.device) -> tuple[Record, Arrays]:
    """The finished record of a job and its per-image outcomes, `<shift>:pred` and `<shift>:margin`."""
    scores: dict[str, dict[str, Score]] = {}
    outcomes: Arrays = {}
    for shift in job.suite.scored:
        scores[shift.name], arrays = store.read_scores(job.cell, shift.name)
        outcomes |= {f"{shift.name}:{name}": array for name, array in arrays.items()}
    record = Record(
        cell=job.cell,
        status="done",
        scores=scores,
        flatness=store.flatness(job.cell, recorded=False),
        train=training_log(store, job),
        protocol=protocol(job, request, store),
        env=environment(device, threads=request.threads),
    )
    return record, outcomes


def with_flatness(job: Job, store: Store) -> Record:
    """A finished record that only lacked flatness."""
    record = store.record(job.cell)
    assert record is not None
    return replace(record, flatness=store.flatness(job.cell))


def failed(job: Job, reason: str) -> Record:
    return Record(cell=job.cell, status="failed", reason=reason)


def skipped(job: Job, reason: str) -> Record:
    """For a job that cannot run."""
    return Record(cell=job.cell, status="skipped", reason=reason)


def protocol(job: Job, request: Request, store: Store) -> dict[str, Any]:
    """Everything about how the numbers were made that is not in the cell's own names."""
    parent = "random weights"
    if job.parent is not None:
        parent = job.parent.cell.label
    elif job.weights is not None:
        parent = job.weights.name
    return {
        "suite": job.suite.protocol,
        **({"metric": job.suite.metric} if job.suite.metric != "top1" else {}),
        **({"class_names": list(job.suite.class_names)} if job.suite.class_names else {}),
        **({"preprocessing": job.cell.preprocessing} if job.cell.preprocessing else {}),
        **({"window": job.cell.window} if job.cell.window else {}),
        **({"normalizer": job.suite.normalizer} if job.suite.normalizer else {}),
        **({"baseline": job.suite.baseline} if job.suite.baseline else {}),
        **({"split": job.suite.split} if job.suite.split else {}),
        **({"targets": list(job.suite.targets)} if job.suite.targets else {}),
        "quant": {
            **asdict(job.quant),
            "keep": list(job.quant.keep),
            "layer_bits": dict(job.quant.layer_bits),
        },
        "method": asdict(job.config),
        "reference": registry.load(registry.METHODS, job.cell.method).reference,
        "recipe": asdict(job.recipe),
        "parent": parent,
        "data": store.data(job.suite),
        **({"made_with": made_with} if (made_with := job.suite.made_with()) else {}),
        **({"in_part": parts} if (parts := store.data_parts(job.suite)) else {}),
        "shifts": {
            shift.name: {
                "family": shift.family,
                "severity": shift.severity,
                "image_set": shift.image_set,
                "in_mean": shift.in_mean,
                **({"weights": shift.weights} if shift.weights != "selected" else {}),
            }
            for shift in job.suite.scored
        },
    }
