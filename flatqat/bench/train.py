"""Train one cell: the same start and the same batches for every method, the update left to the method."""

import json
from collections.abc import Iterator
from math import isfinite
from time import perf_counter
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor
from torch.nn import functional as F

from flatqat import registry
from flatqat.bench.plan import Job, Request
from flatqat.bench.progress import Progress
from flatqat.bench.restore import load_stored_
from flatqat.bench.store import Store, write_atomically
from flatqat.data.images import ImageData
from flatqat.errors import TrainingFailed
from flatqat.methods._base import Setup
from flatqat.models._base import Normalized, build
from flatqat.models._weights import load_weights_
from flatqat.quant._apply import quantize_
from flatqat.quant._audit import audit, summary

LOG_EVERY = 10


def train(job: Job, request: Request, store: Store, device: torch.device, progress: Progress) -> None:
    """Train `job` and store its weights; does nothing where they are stored already.

    Raises TrainingFailed when the loss stops being finite or memory runs out.
    """
    if store.has_weights(job.cell):
        return
    began = perf_counter()
    model = starting_point(job, request, store)
    quantize_(model.net, job.quant)
    model.to(device)
    data = job.suite.train(request.data_root)
    method = registry.load(registry.METHODS, job.cell.method)(
        Setup(model=model, loss=F.cross_entropy, budget=job.budget, amp=request.amp), job.config
    )
    loss = None
    try:
        method.begin(_fixed_batches(job, data, "calibration", job.budget.calibration_batches, device))
        with progress.task(f"train {job.title}", method.total_steps) as advance:
            for step, (x, y) in enumerate(training_batches(job, data, method.total_steps, device), start=1):
                logs = method.step(x, y)
                if step % LOG_EVERY == 0 or step == method.total_steps:
                    loss = _finite(logs["loss"].item(), step)
                advance(1)
        method.end(_fixed_batches(job, data, "batchnorm", job.budget.bn_batches, device))
        ((images, _),) = _fixed_batches(job, data, "audit", 1, device)
        audited = summary(audit(model.net, model.normalize(images)))
    except torch.OutOfMemoryError as error:
        raise TrainingFailed(f"out of memory: {error}".partition("\n")[0]) from error
    state = {name: tensor.cpu().contiguous() for name, tensor in model.net.state_dict().items()}
    for name, tensor in state.items():
        if not tensor.isfinite().all():
            raise TrainingFailed(f"{name} is not finite after training")
    if job.quant.act_bits is not None and audited["floating"]:
        progress.say(f"{job.title}: left in floating point: {', '.join(audited['floating'])}")
    seconds = round(perf_counter() - began, 2)
    log = {"steps": method.total_steps, "last_loss": loss, "seconds": seconds, "audit": audited}
    write_atomically(store.weights_path(job.cell), save(state, metadata={"train": json.dumps(log)}))


def starting_point(job: Job, request: Request, store: Store) -> Normalized:
    """The full-precision network that a job starts from: a file, another cell's weights, or fresh ones."""
    model = build(job.cell.model, classes=job.suite.classes, seed=job.cell.derive_seed("init"))
    if job.start is not None:
        load_stored_(model.net, store.weights_path(job.start.cell))
    elif request.weights is not None:
        load_weights_(model.net, request.weights)
    return model


def training_batches(
    job: Job, data: ImageData, steps: int, device: torch.device
) -> Iterator[tuple[Tensor, Tensor]]:
    """Augmented training batches, epoch after epoch, drawn from the cell's seed whatever the method."""
    order = torch.Generator().manual_seed(job.cell.derive_seed("batches"))
    draws = torch.Generator().manual_seed(job.cell.derive_seed("augment"))
    size = min(job.budget.batch_size, len(data))
    waiting = torch.empty(0, dtype=torch.long)
    for _ in range(steps):
        if len(waiting) < size:
            waiting = torch.randperm(len(data), generator=order)
        index, waiting = waiting[:size], waiting[size:]
        images, labels = data.batch(index, device)
        yield job.suite.augment(images, draws) if job.suite.augment else images, labels


def _fixed_batches(
    job: Job, data: ImageData, purpose: str, count: int, device: torch.device
) -> list[tuple[Tensor, Tensor]]:
    """Training images as they are, without augmentation, the same for every method."""
    generator = torch.Generator().manual_seed(job.cell.derive_seed(purpose))
    size = min(job.budget.batch_size, len(data))
    whole = min(count, len(data) // size)  # a smaller last batch would weigh as much as the others
    index = torch.randperm(len(data), generator=generator)[: whole * size]
    return [data.batch(part, device) for part in index.view(whole, size)]


def _finite(loss: float, step: int) -> float:
    if not isfinite(loss):
        raise TrainingFailed(
            f"the loss is {loss} at step {step}; try a smaller --set budget.lr or budget.pretrain_lr"
        )
    return loss


def training_log(store: Store, job: Job) -> dict[str, Any]:
    """Steps, last loss and seconds, from the metadata of the stored weights."""
    from safetensors import safe_open

    with safe_open(store.weights_path(job.cell), framework="pt") as file:
        log: dict[str, Any] = json.loads(file.metadata()["train"])
    return log
