"""The record of a cell, assembled from what training, measuring and evaluating left in the store."""

from dataclasses import replace
from typing import Any, TypeVar

import torch

from flatqat.bench.cell.environment import environment
from flatqat.bench.engine.adapting import WORDS
from flatqat.bench.plan.jobs import Job
from flatqat.bench.plan.request import Request
from flatqat.bench.records.files import Arrays
from flatqat.bench.records.pictures import Labels, Predicted
from flatqat.bench.records.store import Store
from flatqat.bench.records.weights import training_log
from flatqat.bench.records.work import AS_USUAL
from flatqat.metrics.detection import detection
from flatqat.spec import Environment, Flatness, Protocol, Record, Score, ScoringLog, TrainLog
from flatqat.spec.flatness import SpaceFlatness
from flatqat.spec.reading import to_plain

Part = TypeVar("Part", ScoringLog, TrainLog, SpaceFlatness)


def assemble(
    job: Job, request: Request, store: Store, device: torch.device
) -> tuple[Record, Arrays, Predicted]:
    """Return the finished record of a job, its per-image outcomes as `<shift>:<name>`, and its pictures."""
    scores: dict[str, dict[str, Score]] = {}
    outcomes: Arrays = {}
    logs: dict[str, ScoringLog] = {}
    pictures: dict[str, dict[int, Labels]] = {}
    trained = training_log(store.weights_path(job.cell))
    for shift in job.suite.scored:
        name = shift.name
        scores[name], arrays, log, pictures[name] = store.read_scores(job.cell, name, trained.weights)
        logs[name] = log
        outcomes |= {f"{name}:{what}": array for what, array in arrays.items()}
    shifted = [s.name for s in job.suite.scored if s.weights == "selected" and s.name not in ("id", "val")]
    for name, detected in detection(outcomes, shifted).items():
        scores[name]["auroc"] = detected
    env = logs["id"].env or environment(device, threads=request.threads)
    logs = {name: own for name, log in logs.items() if (own := elsewhere(log, env)) != AS_USUAL}
    record = Record(
        cell=job.cell,
        status="done",
        scores=scores,
        flatness=placed(store.flatness(job.cell, recorded=False), env),
        train=elsewhere(trained, env),
        protocol=replace(protocol(job, request, store), scoring=logs),
        env=env,
    )
    return record, outcomes, pictures


def with_flatness(job: Job, store: Store) -> Record:
    """Return the record of a finished job with the flatness that it lacked.

    Raises Vanished if the record was removed meanwhile.
    """
    record = store.read(store.record_path(job.cell))
    measured = placed(store.flatness(job.cell, recorded=False), record.env)
    return replace(record, flatness=record.flatness.updated(measured))


def elsewhere(part: Part, env: Environment) -> Part:
    """Return a part of a record, which names where it was computed only if that is not `env`."""
    return replace(part, env=None) if part.env == env else part


def placed(flatness: Flatness, env: Environment) -> Flatness:
    """Return flatness, whose spaces name where they were measured only if that is not `env`."""
    spaces: dict[str, Any] = {name: elsewhere(one, env) for name, one in flatness.spaces.items()}
    return replace(flatness, **spaces)


def protocol(job: Job, request: Request, store: Store) -> Protocol:
    """Return how the numbers of a job were made."""
    suite, data, parent = job.suite, store.data(job.suite), "random weights"
    if job.parent is not None:
        parent = job.parent.cell.label
    elif job.weights is not None:
        parent = job.weights.name
    return Protocol(
        suite=suite.protocol,
        data=data.fingerprint if data else "",
        reference=job.method.reference,
        parent=parent,
        recipe=job.recipe,
        quant=job.quant,
        method=to_plain(job.config),
        shifts={shift.name: shift.info for shift in suite.scored},
        metric=suite.metric,
        class_names=suite.class_names,
        preprocessing=job.cell.preprocessing or "",
        window=job.cell.window or "",
        adapt=WORDS[job.cell.adapt] if job.cell.adapt else "",
        normalizer=suite.normalizer or "",
        baseline=suite.baseline or "",
        split=suite.split,
        targets=tuple(suite.targets),
        made_with=suite.made_with(),
        in_part=data.in_part if data else (),
    )
