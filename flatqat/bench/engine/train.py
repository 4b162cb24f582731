"""Train one cell: the same start and the same batches for every method, the update left to the method."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from math import isfinite
from time import perf_counter
from typing import Any

import torch
from safetensors.torch import save

from flatqat import registry
from flatqat.bench.cell.batches import fixed_batches, training_batches, val_batch_size
from flatqat.bench.cell.restore import blank, load_stored_
from flatqat.bench.engine.checkpoint_selection import Selection, snapshot
from flatqat.bench.plan.jobs import Job
from flatqat.bench.plan.request import Request
from flatqat.bench.records.store import Store, write_atomically
from flatqat.console.progress import Progress
from flatqat.data.images.image_data import ImageData
from flatqat.data.images.views import eval_crop
from flatqat.errors import TrainingFailed
from flatqat.methods.base import Method, Setup
from flatqat.metrics.loss import Loss, label_count
from flatqat.metrics.task import task_of
from flatqat.models.base import Normalized, load_initial_
from flatqat.quant.apply import quantize_
from flatqat.quant.audit import audit, summary

LOG_EVERY = 10
VAL_IMAGES = 1000


def train(job: Job, request: Request, store: Store, device: torch.device, progress: Progress) -> None:
    """Train `job` and store its weights; does nothing where they are stored already.

    Raises TrainingFailed when the loss stops being finite or memory runs out.
    """
    if store.has_weights(job.cell):
        return
    began = perf_counter()
    model = starting_point(job, store)
    quantize_(model.net, job.quant)
    model.to(device)
    data, frame = job.suite.train(request.data_root), model.eval_transform
    method = training_rule(job, model, request, device)
    fixed = partial(fixed_batches, job, data, device=device, frame=frame)
    select = Selection(job, method, model, request, device)
    loss = None
    try:
        method.begin(fixed("calibration", job.recipe.calibration_batches))
        batches = training_batches(
            job, data, method.total_steps, device, frame=frame, workers=request.workers
        )
        for_batchnorm = fixed("batchnorm", job.recipe.bn_batches)
        with (
            seeded(job.cell.derive_seed("dropout"), device),
            progress.task(f"train {job.title}", method.total_steps) as advance,
        ):
            for step, (x, y) in enumerate(batches, start=1):
                logs = method.step(x, y)
                if step % LOG_EVERY == 0 or step == method.total_steps:
                    loss = _finite(logs["loss"].item(), step)
                if select.is_due(step):
                    select.look(step, for_batchnorm)
                advance(1)
        method.end(for_batchnorm)
        ((images, _),) = fixed("audit", 1)
        audited = summary(audit(model.net, model.normalize(images)))
    except torch.OutOfMemoryError as error:
        raise TrainingFailed(f"out of memory: {error}".partition("\n")[0]) from error
    last = snapshot(model.net, "cpu")
    for name, tensor in last.items():
        if not tensor.isfinite().all():
            raise TrainingFailed(f"{name} is not finite after training")
    asked = [what for what in audited["floating"] if job.quant.act_bits or not what.endswith(" input")]
    if asked and not job.quant.is_fp:
        progress.say(f"{job.title}: left in floating point: {', '.join(asked)}")
    seconds = round(perf_counter() - began, 2)
    log = {"steps": method.total_steps, "last_loss": loss, "seconds": seconds, "audit": audited}
    if own := method.log():
        log["method"] = own
    chosen = last
    if select.best is not None:
        chosen, log["selection"] = select.best, select.log()
        write_atomically(store.weights_path(job.cell, "last"), save(last))
    write_atomically(store.weights_path(job.cell), save(chosen, metadata={"train": json.dumps(log)}))


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Layers that draw while they train (dropout, stochastic depth) do so from torch's global generator."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


def training_rule(job: Job, model: Normalized, request: Request, device: torch.device) -> Method:
    """The job's rule, ready to train `model`; it may watch the loss on at most VAL_IMAGES images of `val`."""
    rule: type[Method] = registry.load(registry.METHODS, job.cell.method)
    held_out = cache(
        lambda: (
            job.suite.val(request.data_root).sample(VAL_IMAGES).transformed(eval_crop(model.eval_transform))
        )
    )
    val_loss = partial(_val_loss, held_out, model, task_of(job.suite.task).loss, request, device)
    setup = Setup(
        model=model,
        loss=task_of(job.suite.task).loss,
        recipe=job.recipe,
        amp=request.amp,
        val_loss=val_loss,
        seed=job.cell.derive_seed("method"),
    )
    return rule(setup, job.config)


@torch.no_grad()
def _val_loss(
    held_out: Callable[[], ImageData], model: Normalized, loss: Loss, request: Request, device: torch.device
) -> float:
    """Mean loss over images, or labelled pixels, of the model as it stands, in eval mode."""
    model.eval()
    total, count = 0.0, 0
    data = held_out()
    for x, y in data.batches(val_batch_size(data, device), device, request.workers):
        total += loss(model.predict(x), y, reduction="sum").item()
        count += label_count(y)
    return total / count


def starting_point(job: Job, store: Store) -> Normalized:
    """The full-precision network that a job starts from: a file, another cell's weights, or fresh ones."""
    suite, seed = job.suite, job.cell.derive_seed("init")
    model = blank(job.cell, suite, seed)
    if job.parent is not None:
        load_stored_(model.net, store.weights_path(job.parent.cell))
    elif job.weights is not None:
        load_initial_(model, job.cell.model, job.weights, new_head=suite.new_head)
    return model


def _finite(loss: float, step: int) -> float:
    if not isfinite(loss):
        raise TrainingFailed(
            f"the loss is {loss} at step {step}; try a smaller --set recipe.lr or recipe.pretrain_lr"
        )
    return loss


def training_log(store: Store, job: Job) -> dict[str, Any]:
    """Steps, last loss and seconds, from the metadata of the stored weights."""
    from safetensors import safe_open

    with safe_open(store.weights_path(job.cell), framework="pt") as file:
        log: dict[str, Any] = json.loads(file.metadata()["train"])
    return log
