"""Flatness of a cell's minimum: which weights are moved, on which images, and what is kept.

The true loss of a quantized network is piecewise constant, so every finite curvature is of a surrogate. The
space says which. `quantized`: the weights stand at Q(W), without rounding, and are moved there, the deployed
point and comparable with full precision. `latent`: W is moved, with the rounding and its straight-through
gradient in the loop. `scale`: what the quantizers learn is moved alone: step sizes, offsets, thresholds.
Input quantizers are on or off. A backward that is no gradient gives place to the straight-through rule.

BatchNorm in eval mode, float32, the same training images without augmentation for every method.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from flatqat.bench.plan import Job
from flatqat.bench.progress import Advance, Progress
from flatqat.bench.request import Request
from flatqat.bench.restore import restore
from flatqat.bench.store import Store
from flatqat.data.frames import cut
from flatqat.data.images import ImageData
from flatqat.errors import UsageError
from flatqat.flatness._params import Loss
from flatqat.flatness.hessian import top_eigenvalue
from flatqat.flatness.sharpness import average_case, worst_case
from flatqat.quant._apply import latent_weights, plain_gradients, quantizers, switched_off
from flatqat.spec import Cell, Frame

Space = Literal["quantized", "latent", "scale"]
SPACES: tuple[Space, ...] = ("quantized", "latent", "scale")

ITERATIONS, TOLERANCE = 30, 1e-3
RADII = (0.05, 0.1, 0.2)
RHO_SAM, RHO_ASAM = 0.05, 0.5
CHUNK = 256


def measure(job: Job, request: Request, store: Store, device: torch.device, progress: Progress) -> None:
    """Measure a trained job in the `quantized` space and store it, unless that is done or not wanted."""
    if not request.flatness or store.read_flatness(job.cell) is not None:
        return
    model = restore(job.cell, job.suite, store, device)
    data, frame = job.suite.train(request.data_root), model.frame
    batches = flatness_batches(job.cell, data, job.budget.flatness_images, device, frame=frame)
    found: dict[str, Any]
    with progress.task(f"flatness {job.title}", work(job.budget.flatness_draws)) as advance:
        try:
            draws = job.budget.flatness_draws
            found = {"quantized": flatness_of(model, batches, job.cell, draws=draws, advance=advance)}
        except FloatingPointError as error:  # says nothing against the scores
            found = {"failed": str(error)}
            progress.say(f"{job.title}: no flatness: {error}")
    store.write_flatness(job.cell, found)


def work(draws: int) -> int:
    """Steps of progress: one a Hessian-vector product, one a pair of draws."""
    return ITERATIONS + len(RADII) * draws


def flatness_of(
    model: nn.Module,
    batches: Sequence[tuple[Tensor, Tensor]],
    cell: Cell,
    *,
    space: Space = "quantized",
    acts: bool = True,
    draws: int = 20,
    advance: Advance = lambda n: None,
) -> dict[str, Any]:
    """Everything that is kept of one space, as plain JSON values.

    `backward` says that a quantizer's own backward, being no gradient, was replaced by the plain one.

    `lambda_max` with its residual; `sharpness_avg` per filter-normalised radius; `sharpness_sam` and
    `sharpness_asam` of one ascent step; the norm of the weights, because the Hessian scales with it.
    """
    seed = cell.derive_seed("flatness") % 2**31
    model.eval()
    params = moved_params(model, space)
    off = [role for role, is_off in (("weight", space == "quantized"), ("input", not acts)) if is_off]
    losses = [_loss(model, images, labels) for images, labels in batches]
    with ExitStack() as stack:
        stack.enter_context(switched_off(model, roles=tuple(off)))
        stack.enter_context(plain_gradients(model))
        lambda_max = _lambda_max(losses, params, seed, advance)
        average = {}
        if space != "scale":  # a step size has no filters to be normalised by
            for radius in RADII:
                average[str(radius)] = average_case(losses, params, radius=radius, draws=draws, seed=seed)
                advance(draws)
        sam = worst_case(losses, params, rho=RHO_SAM)
        asam = worst_case(losses, params, rho=RHO_ASAM, adaptive=True)
    swapped = any(q.own_backward and q.role not in off for _, q in quantizers(model))
    return {
        "space": space,
        "acts": "on" if acts else "off",
        **({"backward": "straight-through"} if swapped else {}),
        "images": sum(len(labels) for _, labels in batches),
        "seed": seed,
        "loss": sam.loss,
        "lambda_max": lambda_max,
        "sharpness_avg": {
            radius: {"value": s.value, "stderr": s.stderr, "draws": s.draws} for radius, s in average.items()
        },
        "sharpness_sam": {"value": sam.value, "rho": RHO_SAM},
        "sharpness_asam": {"value": asam.value, "rho": RHO_ASAM},
        "weight_norm": torch.stack([p.norm() for p in params.values()]).norm().item(),
    }


def _lambda_max(losses: list[Loss], params: dict[str, Tensor], seed: int, advance: Advance) -> dict[str, Any]:
    """The top eigenvalue, or null with the reason where the network has no second derivative."""
    done = 0

    def progress(now: int, most: int) -> None:
        nonlocal done
        advance(now - done)
        done = now

    try:
        eigenvalue = top_eigenvalue(
            losses, params, iterations=ITERATIONS, tolerance=TOLERANCE, seed=seed, progress=progress
        )
    except RuntimeError as error:
        if "not implemented" not in str(error):
            raise
        found = {"value": None, "residual": None, "reason": str(error).partition("\n")[0]}
    else:
        found = asdict(eigenvalue)
    advance(ITERATIONS - done)
    return found


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
    """The tensors that are moved, at the point of the space; what quantizers learn only in `scale`."""
    learned = {id(p) for _, quantizer in quantizers(model) for p in quantizer.parameters()}
    params = {
        name: p.detach() for name, p in model.named_parameters() if (id(p) in learned) == (space == "scale")
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


def _loss(model: nn.Module, images: Tensor, labels: Tensor) -> Loss:
    return lambda params: F.cross_entropy(functional_call(model, params, (images,)), labels)
