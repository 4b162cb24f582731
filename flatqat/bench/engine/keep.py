"""What a training leaves: weights with its log, which must be those of the record that is there already."""

import json
from io import BytesIO
from typing import Any

from safetensors.torch import save
from torch import Tensor

from flatqat.bench.cell.session import Session
from flatqat.bench.engine.checkpoint_selection import Selection
from flatqat.bench.plan.jobs import Job
from flatqat.bench.records.files import write_atomically
from flatqat.bench.records.weights import digest_of, metadata_of
from flatqat.errors import TrainingFailed, listed
from flatqat.spec import TrainLog


def keep(last: dict[str, Tensor], selection: Selection, log: dict[str, Any], *, stores: bool) -> None:
    """Store the selected weights, or the last ones where nothing was selected, with the log as metadata.

    Processes that train together all call this, and one of them stores. Raises TrainingFailed as
    `check_recorded` does, and on weights that are not finite.
    """
    job, store = selection.job, selection.session.store
    deployed = last if selection.best is None else selection.best
    log = {**log, "weights": digest_of(BytesIO(save(deployed))).hex()}
    log = json.loads(json.dumps(log), parse_constant=lambda name: None)  # JSON has no NaN and no infinity
    check_recorded(job, selection.session, TrainLog.from_dict(log))
    if not stores:
        return
    for name, tensor in last.items():
        if not tensor.isfinite().all():
            raise TrainingFailed(f"{name} is not finite after training")
    if deployed is not last:
        path = store.weights_path(job.cell, "last")
        digest = digest_of(BytesIO(save(last))).hex()
        write_atomically(path, save(last, metadata=metadata_of(path, weights=digest)))
    path = store.weights_path(job.cell)
    write_atomically(path, save(deployed, metadata=metadata_of(path, log)))


def check_recorded(job: Job, session: Session, log: TrainLog) -> None:
    """Raise TrainingFailed if a job has a finished record from a training of other weights.

    Weights that are gone are trained again for what the record lacks. Another machine makes others, and
    numbers of two trainings must not share a record. An older record, which has no digest of its weights, is
    compared in what else it says of them.
    """
    record = None if session.request.rerun else session.store.finished(job.cell)
    if record is None:
        return
    if record.train.weights:
        known, new = {"weights": record.train.weights}, {"weights": log.weights}
    else:
        known, new = _of_weights(record.train), _of_weights(log)
    if others := [name for name, value in known.items() if new.get(name) != value]:
        path = session.store.weights_path(job.cell)
        raise TrainingFailed(
            f"expected the weights of the record of {job.cell.label}, got those of a training with other "
            f"{listed(others)}, as of another machine or version; restore {path}, or compute the cell again "
            "with --rerun"
        )


def _of_weights(log: TrainLog) -> dict[str, Any]:
    """Return what a log says of the weights, not of the time and the place. A newer version may say more."""
    return {"steps": log.steps, "last_loss": log.last_loss, **log.audit, **log.method, **log.selection}
