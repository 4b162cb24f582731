"""Train one cell: every method gets the same start and the same batches, and makes the update itself."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import cache, partial
from math import isfinite
from time import perf_counter
from typing import Any

import torch
from torch import Tensor

from flatqat import registry
from flatqat.bench.cell.batches import (
    Batch,
    batch_length,
    fixed_batches,
    training_batches,
    val_batch_size,
)
from flatqat.bench.cell.determinism import listening
from flatqat.bench.cell.environment import environment
from flatqat.bench.cell.halving import again
from flatqat.bench.cell.restore import load_stored_, untrained
from flatqat.bench.cell.session import Session
from flatqat.bench.engine.checkpoint_selection import Selection, snapshot
from flatqat.bench.engine.curve import curve_of
from flatqat.bench.engine.keep import keep
from flatqat.bench.plan.jobs import Job
from flatqat.bench.ranks.check import check_same, check_same_draws
from flatqat.bench.ranks.ranks import Ranks
from flatqat.bench.ranks.whole_batch import WholeBatch
from flatqat.bench.records.store import Store
from flatqat.blame import blaming
from flatqat.console.board import Doing
from flatqat.data.images.views import eval_crop
from flatqat.data.tensors.image_data import ImageData
from flatqat.errors import StoreError, TrainingFailed, Vanished
from flatqat.memory import lack_of_memory, out_of_memory
from flatqat.methods.base import Method, Setup, loss_of
from flatqat.methods.perturb import drawn_again
from flatqat.metrics.loss import label_count
from flatqat.metrics.task import task_of
from flatqat.models.base import Normalized, load_initial_
from flatqat.quant.apply import quantize_
from flatqat.quant.audit import audit, checked, summary
from flatqat.spec import QuantSpec
from flatqat.spec.reading import from_plain, to_plain

LOG_EVERY = 10
VAL_IMAGES = 1000


def train(job: Job, session: Session, ranks: Ranks | None = None) -> None:
    """Store the trained weights of `job`.

    Training that lacks memory begins again once, from its start and with the same numbers: a smaller batch
    would be another recipe. With `ranks`, every one of them calls this, trains on its part of each batch, and
    has all weights at the end; the one that leads stores them, and none begins again on its own. Nor does any
    check whether they are stored: the one that leads has checked, and another one might see what was stored
    since and leave the rest waiting.

    Raises TrainingFailed if it lacks memory again, on a bad start and on infinite numbers.
    """
    if not ranks and session.store.has_weights(job.cell):
        return
    attempt = partial(_train, job, session, ranks)
    try:
        if ranks:
            attempt()
        else:
            again(attempt, f"train {job.title}", session.progress.say)
    except Exception as error:
        if not out_of_memory(error):
            raise
        batch, smaller = job.recipe.batch_size, max(1, job.recipe.batch_size // 2)
        hint = f"try a smaller batch, as by --set recipe.batch_size={smaller} (now {batch}), another recipe"
        raise TrainingFailed(f"{lack_of_memory(error)}; {hint}") from error


def _train(job: Job, session: Session, ranks: Ranks | None) -> None:
    with listening(session.device) as heard:
        last, selection, log = _trained(job, session, ranks)
    log["env"] = to_plain(environment(session.device, session.request.threads))
    if heard.names:
        log["not_repeatable"] = sorted(heard.names)
    keep(last, selection, log, stores=not ranks or ranks.leads)


def _trained(
    job: Job, session: Session, ranks: Ranks | None
) -> tuple[dict[str, Tensor], Selection, dict[str, Any]]:
    """Return the last weights, the selection and the log of a training."""
    store = session.store
    began = perf_counter()
    model = starting_point(job, store)
    quantize_(model.net, job.quant)
    model.to(session.device)
    data = job.suite.train(session.request.data_root)
    fixed = partial(fixed_batches, job, data, device=session.device, eval_transform=model.eval_transform)
    whole = WholeBatch(ranks, batch_length(data, job.recipe.batch_size)) if ranks else None
    with whole.on(model) if whole else nullcontext():
        method = training_method(job, model, session, whole)
        selection = Selection(job, method, model, session)
        method.begin(fixed("calibration", job.recipe.calibration_batches))
        for_batchnorm = fixed("batchnorm", job.recipe.bn_batches)
        last_loss = _take_steps(data, selection, for_batchnorm, whole)
        method.end(for_batchnorm)
    if ranks:
        check_same(model, ranks)
    last, method_log = snapshot(model.net, "cpu"), _log_of(method, job.cell.method)
    if selection.best is not None:
        model.net.load_state_dict(selection.best)  # what is deployed is audited
    ((images, _),) = fixed("audit", 1)
    audited = summary(checked(audit(model.net, model.normalize(images))))
    if covered := _left_out(audited["floating"], job.quant):
        session.progress.say(f"{job.title}: left in floating point: {', '.join(covered)}")
    seconds = round(perf_counter() - began, 2)
    log = {"steps": method.total_steps, "last_loss": last_loss, "seconds": seconds, "audit": audited}
    if method.compiles:
        log["compiled"] = True
    if ranks and method.total_steps:
        log["processes"] = ranks.size
    if method_log:
        log["method"] = method_log
    if selection.best is not None:
        log["selection"] = selection.log()
    return last, selection, log


def _log_of(method: Method, name: str) -> dict[str, Any]:
    """Return what a method logs, without numbers that are not finite, which JSON does not have.

    Raises PluginError if a plugin logs what no record can hold.
    """
    with blaming(registry.METHODS, name, "a dict of plain JSON values from log"):
        log = json.loads(json.dumps(method.log()), parse_constant=lambda number: None)
        return dict(from_plain(Mapping[str, Any], log))


def _left_out(floating: Sequence[str], quant: QuantSpec) -> list[str]:
    """Return which of the tensors left in floating point the bits of a cell cover."""
    of_inputs, of_weights = quant.act_bits is not None, quant.rounds_weights
    return [name for name in floating if (of_inputs if name.endswith(" input") else of_weights)]


def training_method(job: Job, model: Normalized, session: Session, whole: WholeBatch | None = None) -> Method:
    """Return the job's method, ready to train `model`; it may use the loss on VAL_IMAGES images of `val`.

    Where it sees a part of each batch, its losses and gradients are those of the `whole`.
    """
    loss, request, device = task_of(job.suite.task).loss, session.request, session.device

    @cache
    def held_out() -> ImageData:
        val = job.suite.val(request.data_root).sample(VAL_IMAGES)
        return val.transformed(eval_crop(model.eval_transform))

    @torch.no_grad()
    def val_loss() -> float:
        """Return the mean loss over images, or labeled pixels, of the model in eval mode."""
        model.eval()
        total, count, data = 0.0, 0, held_out()
        for x, y in data.batches(val_batch_size(data, device), device, request.workers):
            total += loss(model.predict(x), y, reduction="sum").item()
            count += label_count(y)
        return total / count

    seed = job.cell.derive_seed("method")
    setup = Setup(
        model=model,
        loss=whole.mean_of(loss) if whole else loss,
        recipe=job.recipe,
        amp=request.amp,
        compile=request.compile,
        val_loss=val_loss,
        seed=seed,
    )
    method: Method = job.method(setup, job.config)
    return method


def starting_point(job: Job, store: Store) -> Normalized:
    """Return the full-precision network that a job starts from: from its parent, a file, or random."""
    model = untrained(job.cell, job.suite, job.cell.derive_seed("init"))
    if job.parent is not None:
        try:
            load_stored_(model.net, store.weights_path(job.parent.cell))
        except Vanished:
            raise
        except StoreError as error:
            raise TrainingFailed(str(error)) from error
    elif job.weights is not None:
        with seeded(job.cell.derive_seed("head"), torch.device("cpu")):
            load_initial_(model, job.cell.model, job.weights, new_head=job.suite.new_head)
    return model


def _take_steps(
    data: ImageData, selection: Selection, for_batchnorm: Sequence[Batch], whole: WholeBatch | None
) -> float | None:
    """Take all steps of the method; returns the last loss that was looked at."""
    job, method, session = selection.job, selection.method, selection.session
    steps, device, last_loss = method.total_steps, session.device, None
    eval_transform, workers = selection.model.eval_transform, session.request.workers
    rows = whole.rows if whole else None
    batches = training_batches(
        job, data, steps, device, eval_transform=eval_transform, workers=workers, rows=rows
    )
    task = session.progress.task(f"train {job.title}", steps, Doing("training", (job.cell.id,)))
    curves = curve_of(job, session, shown=steps > 0 and (not whole or whole.ranks.leads))
    with curves as curve, seeded(job.cell.derive_seed("dropout"), device), task as advance:
        for step, (x, y) in enumerate(batches, start=1):
            with whole or nullcontext():
                logs = method.step(x, y)
            loss = loss_of(logs)
            curve.add(step, logs)
            if step == 1 and whole:
                check_same(selection.model, whole.ranks)
            if step in (1, steps) and whole:
                check_same_draws(device, whole.ranks)
            if step % LOG_EVERY == 0 or step == steps:
                curve.write()
                last_loss = _finite(loss.item(), step)
            if selection.is_due(step):
                selection.score_now(step, for_batchnorm)
                curve.scalars(step, {selection.name: selection.scores[step]})
            advance(1)
    return last_loss


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch's global generator, which dropout and stochastic depth draw from, and restore it after."""
    with drawn_again(device):
        torch.manual_seed(seed)
        yield


def _finite(loss: float, step: int) -> float:
    if not isfinite(loss):
        hint = "try a smaller --set recipe.lr or recipe.pretrain_lr"
        raise TrainingFailed(f"the loss is {loss} at step {step}; {hint}")
    return loss
