"""Flatness of a cell's minimum: every estimator asked for, at the point of a space, as plain JSON values."""

from collections.abc import Sequence
from functools import partial
from statistics import fmean

import torch
from torch import nn

from flatqat.bench.cell.batches import Batch, fixed_transform
from flatqat.bench.cell.determinism import listening
from flatqat.bench.cell.environment import environment
from flatqat.bench.cell.failures import explained
from flatqat.bench.cell.halving import again
from flatqat.bench.cell.restore import restore
from flatqat.bench.cell.session import Lack, Session
from flatqat.bench.flatness.estimators import DEFAULT, ESTIMATORS, JsonDict, Measurement, work
from flatqat.bench.flatness.flatness_point import FlatnessPoint, evaluated_at, flatness_batches
from flatqat.bench.flatness.landscape_file import LandscapeOptions
from flatqat.bench.plan.jobs import Job
from flatqat.bench.plan.request import lacking_spaces
from flatqat.console.board import Doing
from flatqat.console.progress import Advance, part, taken_back_on_error
from flatqat.errors import DataError, UsageError, Vanished, first_line
from flatqat.flatness.derivatives import loss_values
from flatqat.flatness.landscape import Landscape, landscape
from flatqat.metrics.loss import Loss, cross_entropy
from flatqat.metrics.task import task_of
from flatqat.models.base import Normalized
from flatqat.spec import Cell, Flatness, Space
from flatqat.spec.flatness import passing
from flatqat.spec.reading import to_plain


def measure(lack: Lack, session: Session) -> None:
    """Measure a trained job in the spaces that it lacks, and keep the numbers for its record.

    What fails is kept as the reason, and costs neither another space nor the scores.
    """
    if not lack.spaces:
        return
    job, request, store = lack.job, session.request, session.store
    known = store.flatness(job.cell, recorded=not request.rerun)
    lacking = lacking_spaces(job.cell, known, request)  # an interrupted run may have measured some
    if not lacking:
        return
    draws, failures = job.recipe.flatness_draws, dict[str, str]()
    weights = store.weights_digest(job.cell)
    steps, doing = len(lacking) * work(DEFAULT, draws), Doing("measuring", (job.cell.id,))
    with session.progress.task(f"flatness {job.title}", steps, doing) as advance:
        for space in lacking:
            try:
                known = known.updated(Flatness.from_dict({space: _measured(job, session, space, advance)}))
            except (DataError, Vanished):
                raise
            except (Exception, SystemExit) as error:  # whatever it is, it says nothing against the scores
                reason = explained(error, f"flatness {job.title}", session.progress)
                failures[space] = reason if isinstance(error, FloatingPointError) else passing(reason)
    store.write_flatness(job.cell, known.updated(Flatness(failures=failures)), weights)


def _measured(job: Job, session: Session, space: Space, advance: Advance) -> JsonDict:
    """Return the flatness of a trained job in one space, over smaller chunks of images where memory lacks."""
    recipe, device, say = job.recipe, session.device, session.progress.say
    restored = partial(restore, job.cell, job.suite, session.store, device)

    def loaded() -> tuple[list[Normalized], list[Batch]]:
        model, data = restored(), job.suite.train(session.request.data_root)
        view = fixed_transform(job.suite, model.eval_transform)
        return [model], flatness_batches(job.cell, data, recipe.flatness_images, device, view=view)

    models, batches = again(loaded, f"flatness {job.title}", say)

    def measured(chunk: int) -> JsonDict:
        model = models.pop() if models else restored()  # an error may leave a model half prepared
        loss, draws = task_of(job.suite.task).loss, recipe.flatness_draws
        with taken_back_on_error(advance) as count:
            return flatness_of(
                model, batches, job.cell, loss=loss, space=space, draws=draws, chunk=chunk, advance=count
            )

    kind = f"flatness of {job.cell.model} on {job.suite.family} in the space {space}"
    with listening(device) as heard:
        found = session.sizes.halved(measured, kind, len(batches[0][1]), say)
    found["env"] = to_plain(environment(device, session.request.threads))
    if heard.names:
        found["not_repeatable"] = sorted(heard.names)
    found["lambda_max"].pop("converged", None)  # the residual, which is kept, says the same
    return found


def flatness_of(
    model: nn.Module,
    batches: Sequence[Batch],
    cell: Cell,
    *,
    measures: Sequence[str] = DEFAULT,
    space: Space = "quantized",
    acts: bool = True,
    draws: int = 20,
    loss: Loss = cross_entropy,
    chunk: int | None = None,
    advance: Advance = lambda n: None,
) -> JsonDict:
    """Return the measures of one space, by their names in ESTIMATORS, with the loss and the weights' norm.

    `chunk` images are in memory at a time, by default those of a batch. Where it divides batches, sums are in
    another order, and the result says so.

    What cannot be measured is null with a reason. Raises UsageError without what the space moves.
    """
    at = partial(evaluated_at, model, batches, cell, acts=acts, loss=loss, chunk=chunk)
    divides = chunk is not None and any(len(labels) > chunk for _, labels in batches)
    with at(space=space) as point:
        if not point.params:
            expected = "expected a quantizer with learned step sizes, got one without"
            raise UsageError(f"space {space}: {expected}; leave this space out")
        found = {
            "space": space,
            "acts": "on" if acts else "off",
            **({"backward": "straight-through"} if point.backward_replaced else {}),
            "images": sum(len(labels) for _, labels in batches),
            **({"chunk": chunk} if divides else {}),
            "seed": point.seed,
            "loss": fmean(loss_values(point.losses, point.params)),
            "weight_norm": torch.stack([p.norm() for p in point.params.values()]).norm().item(),
        }
    for name in measures:
        estimator = ESTIMATORS[name]
        steps = part(advance, estimator.cost(draws))
        with at(space=estimator.own_space or space) as point, steps as count:
            found |= _run(name, point, draws, count)
    return found


def landscape_of(point: FlatnessPoint, picture: LandscapeOptions, advance: Advance) -> Landscape:
    """Return the loss on a plane through the weights, whose directions all cells of the same shapes share."""
    grid = partial(landscape, points=picture.points, span=picture.span, seed=point.seed)
    return grid(point.losses, point.params, progress=lambda done, most: advance(1))


def _run(name: str, point: FlatnessPoint, draws: int, advance: Advance) -> JsonDict:
    """Return an estimator's results, null with the reason where the network has no second derivative."""
    try:
        return ESTIMATORS[name].measure(Measurement(point, draws, advance))
    except RuntimeError as error:
        if "not implemented" not in str(error):
            raise
        return {name: {"value": None, "residual": None, "reason": first_line(error)}}
