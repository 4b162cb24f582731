"""Flatness of a cell's minimum: which weights are moved, on which images, and what is kept.

The true loss of a quantized network is piecewise constant, so every finite curvature is of a surrogate. The
space says which. `quantized`: the weights stand at Q(W), without rounding, and are moved there, the deployed
point and comparable with full precision. `latent`: W is moved, with the rounding and its straight-through
gradient in the loop. `scale`: the step sizes alone are moved. Input quantizers are on or off.

BatchNorm in eval mode, float32, the same training images without augmentation for every method.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from statistics import fmean
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from flatqat.bench.batches import Batch
from flatqat.bench.estimators import DEFAULT, ESTIMATORS, Found, Point, Space, work
from flatqat.bench.plan import Job, Request
from flatqat.bench.progress import Advance, Progress
from flatqat.bench.restore import restore
from flatqat.bench.store import Store
from flatqat.data.frames import cut
from flatqat.data.images import ImageData
from flatqat.errors import UsageError
from flatqat.flatness._derivatives import loss_values
from flatqat.flatness._params import Loss
from flatqat.flatness.landscape import Landscape, landscape
from flatqat.quant._apply import latent_weights, plain_gradients, quantizers, switched_off
from flatqat.spec import Cell, Frame

CHUNK = 256


def measure(job: Job, request: Request, store: Store, device: torch.device, progress: Progress) -> None:
    """Measure a trained job in the `quantized` space and store it, unless that is done or not wanted."""
    if not request.flatness or store.read_flatness(job.cell) is not None:
        return
    model = restore(job.cell, job.suite, store, device)
    batches = flatness_batches(
        job.cell, job.suite.train(request.data_root), job.budget.flatness_images, device, frame=model.frame
    )
    found: dict[str, Any]
    draws = job.budget.flatness_draws
    with progress.task(f"flatness {job.title}", work(DEFAULT, draws)) as advance:
        try:
            found = {"quantized": flatness_of(model, batches, job.cell, draws=draws, advance=advance)}
        except FloatingPointError as error:  # says nothing against the scores
            found = {"failed": str(error)}
            progress.say(f"{job.title}: no flatness: {error}")
    store.write_flatness(job.cell, found)


def flatness_of(
    model: nn.Module,
    batches: Sequence[Batch],
    cell: Cell,
    *,
    measures: Sequence[str] = DEFAULT,
    space: Space = "quantized",
    acts: bool = True,
    draws: int = 20,
    advance: Advance = lambda n: None,
) -> dict[str, Any]:
    """Everything that is kept of one space, as plain JSON values; `measures` are names of ESTIMATORS.

    Beside them the loss itself, and the norm of the weights, because the Hessian scales with it. What cannot
    be measured is null with a reason.
    """
    with standing(model, batches, cell, space=space, acts=acts, draws=draws) as point:
        found = {
            "space": space,
            "acts": "on" if acts else "off",
            "images": sum(len(labels) for _, labels in batches),
            "seed": point.seed,
            "loss": fmean(loss_values(point.losses, point.params)),
            "weight_norm": torch.stack([p.norm() for p in point.params.values()]).norm().item(),
        }
    for name in measures:
        estimator, done = ESTIMATORS[name], 0

        def count(n: int) -> None:
            nonlocal done
            done += n
            advance(n)

        own = estimator.own or space
        with standing(
            model, batches, cell, space=own, acts=acts, draws=draws, learned=not estimator.own
        ) as point:
            found |= _run(name, point, count)
        advance(estimator.cost(draws) - done)
    return found


def landscape_of(
    model: nn.Module,
    batches: Sequence[Batch],
    cell: Cell,
    *,
    points: int,
    span: float,
    space: Space,
    acts: bool = True,
    advance: Advance = lambda n: None,
) -> Landscape:
    """The loss on a plane through the weights; its directions are those of every cell of the same shapes."""
    with standing(model, batches, cell, space=space, acts=acts) as at:
        return landscape(
            at.losses,
            at.params,
            points=points,
            span=span,
            seed=at.seed,
            progress=lambda done, most: advance(1),
        )


@contextmanager
def standing(
    model: nn.Module,
    batches: Sequence[Batch],
    cell: Cell,
    *,
    space: Space,
    acts: bool,
    draws: int = 20,
    learned: bool = True,
) -> Iterator[Point]:
    """The point of a space; within the context the network is in eval mode with its quantizers set for it.

    In the space `scale` step sizes move, with `learned` those that training moves; see `moved_params`.
    """
    model.eval()
    off = [role for role, is_off in (("weight", space == "quantized"), ("input", not acts)) if is_off]
    params = moved_params(model, space) if learned else step_sizes(model)
    lower, upper = neighbours(model) if space == "quantized" else ({}, {})
    with switched_off(model, roles=tuple(off)), plain_gradients(model):
        yield Point(
            losses=[_loss(model, images, labels) for images, labels in batches],
            params=params,
            lower=lower,
            upper=upper,
            space=space,
            draws=draws,
            seed=cell.derive_seed("flatness") % 2**31,
        )


def _run(name: str, point: Point, advance: Advance) -> Found:
    """Null with the reason where the network has no second derivative."""
    try:
        return ESTIMATORS[name].run(point, advance)
    except RuntimeError as error:
        if "not implemented" not in str(error):
            raise
        return {name: {"value": None, "residual": None, "reason": str(error).partition("\n")[0]}}


def flatness_batches(
    cell: Cell, data: ImageData, images: int, device: torch.device | str, *, frame: Frame
) -> list[tuple[Tensor, Tensor]]:
    """The first `images` of a permutation that all methods share, in chunks of equal size."""
    generator = torch.Generator().manual_seed(cell.derive_seed("flatness"))
    index = torch.randperm(len(data), generator=generator)[:images]
    if len(index) > CHUNK:
        index = index[: len(index) // CHUNK * CHUNK]
    seen = data.seen(cut(frame))
    return [seen.batch(part, device) for part in index.split(CHUNK)]


def moved_params(model: nn.Module, space: Space) -> dict[str, Tensor]:
    """The tensors that are moved, at the point of the space; step sizes only in the space `scale`."""
    scales = {id(quantizer.scale) for _, quantizer in quantizers(model)}
    params = {
        name: p.detach() for name, p in model.named_parameters() if (id(p) in scales) == (space == "scale")
    }
    if not params:
        raise UsageError(
            "space 'scale': expected a model with learned step sizes, got none; use another space"
        )
    if space == "quantized":
        with torch.no_grad():
            params |= {
                name: quantizer(w_latent) for name, (w_latent, quantizer) in latent_weights(model).items()
            }
    return params


@torch.no_grad()
def neighbours(model: nn.Module) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Each quantized weight one code down and one code up, clipped at the ends of its grid.

    A filter of zeros stays, as in every relative measure: BatchNorm behind it has seen no variance, and blows
    up a single code to any size.
    """
    lower, upper = {}, {}
    for name, (w_latent, quantizer) in latent_weights(model).items():
        codes = quantizer.codes(w_latent)
        w_quant = quantizer.dequantize(codes)
        lives = (w_quant.flatten(1) != 0).any(1).view(-1, *[1] * (w_quant.ndim - 1))
        down = quantizer.dequantize((codes - 1).clamp_min(quantizer.low))
        up = quantizer.dequantize((codes + 1).clamp_max(quantizer.high))
        lower[name], upper[name] = torch.where(lives, down, w_quant), torch.where(lives, up, w_quant)
    return lower, upper


def step_sizes(model: nn.Module) -> dict[str, Tensor]:
    """Every step size by its name in the model, learned or not."""
    scales = {id(quantizer.scale) for _, quantizer in quantizers(model)}
    named = (*model.named_parameters(), *model.named_buffers())
    return {name: tensor.detach() for name, tensor in named if id(tensor) in scales}


def _loss(model: nn.Module, images: Tensor, labels: Tensor) -> Loss:
    return lambda params: F.cross_entropy(functional_call(model, params, (images,)), labels)
