"""Where flatness is measured: which tensors move, from where, on which images.

The true loss of a quantized network is piecewise constant, so every finite curvature is of a surrogate. The
space says which. `quantized`: the weights stand at Q(W), without rounding, and are moved there, the deployed
point and comparable with full precision. `latent`: W is moved, with the rounding and its straight-through
gradient in the loop. `step_size`: what the quantizers learn is moved alone: step sizes, offsets, thresholds.
Input quantizers are on or off. A backward that is no gradient gives place to the straight-through rule.

BatchNorm in eval mode, float32, the same training images without augmentation for every method.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call

from flatqat.bench.cell.batches import Batch
from flatqat.bench.plan.request import Space
from flatqat.data.images.image_data import ImageData, Transform
from flatqat.flatness.params import LossFn as Surface
from flatqat.flatness.params import Params
from flatqat.metrics.loss import Loss, cross_entropy
from flatqat.quant.apply import disabled, in_inference, latent_weights, quantizers, ste_gradients
from flatqat.spec import Cell

CHUNK, SMALLEST_CHUNK = 256, 8  # of images with a label each; label maps come one by one if they must
CHUNK_VALUES = 2**22  # second derivatives keep several times the activations of a forward pass


@dataclass(frozen=True, slots=True, kw_only=True)
class FlatnessPoint:
    """The losses, the tensors that move, and the grid neighbours of those that have any.

    `swapped` says that a quantizer's own backward, being no gradient, was replaced by the plain one.
    """

    losses: Sequence[Surface]
    params: Params
    lower: Params
    upper: Params
    space: Space
    swapped: bool
    seed: int


@contextmanager
def evaluated_at(
    model: nn.Module,
    batches: Sequence[Batch],
    cell: Cell,
    *,
    space: Space,
    acts: bool,
    loss: Loss = cross_entropy,
) -> Iterator[FlatnessPoint]:
    """The point of a space, of the task's loss.

    Within the context the network is in eval mode with its quantizers set for it.
    """
    model.eval()
    off = [role for role, is_off in (("weight", space == "quantized"), ("input", not acts)) if is_off]
    params = moved_params(model, space)
    lower, upper = neighbours(model) if space == "quantized" else ({}, {})
    with disabled(model, roles=tuple(off)), ste_gradients(model):
        yield FlatnessPoint(
            losses=[_loss(model, loss, images, labels) for images, labels in batches],
            params=params,
            lower=lower,
            upper=upper,
            space=space,
            swapped=any(q.custom_backward and q.role not in off for _, q in quantizers(model)),
            seed=cell.derive_seed("flatness") % 2**31,
        )


def flatness_batches(
    cell: Cell, data: ImageData, images: int, device: torch.device | str, *, view: Transform
) -> list[Batch]:
    """The first `images` of a permutation that all methods share, in chunks of equal size.

    Chunks are of CHUNK images, or of fewer where these are large: 16 of 224 pixels.
    """
    generator = torch.Generator().manual_seed(cell.derive_seed("flatness"))
    index = torch.randperm(len(data), generator=generator)[:images]
    seen, chunk = data.transformed(view), CHUNK
    values, smallest = seen.fetch(index[:1]).numel(), 1 if data.per_pixel else SMALLEST_CHUNK
    while chunk * values > CHUNK_VALUES and chunk > smallest:
        chunk //= 2
    if len(index) > chunk:
        index = index[: len(index) // chunk * chunk]
    return [seen.batch(part, device) for part in index.split(chunk)]


@torch.no_grad()
def moved_params(model: nn.Module, space: Space) -> Params:
    """The tensors that are moved, at the point of the space.

    In the space `step_size` what the quantizers learn; where they learn nothing their step sizes, and without
    quantizers nothing. Else all other parameters, without those of heads that only training runs.
    """
    learned = {id(p) for _, quantizer in quantizers(model) for p in quantizer.parameters()}
    if space == "step_size":
        fixed = {id(quantizer.scale) for _, quantizer in quantizers(model)}
        return {name: p.detach() for name, p in model.named_parameters() if id(p) in learned} or {
            name: buffer.detach() for name, buffer in model.named_buffers() if id(buffer) in fixed
        }
    runs = {id(p) for module in in_inference(model).values() for p in module.parameters(recurse=False)}
    params = {name: p.detach() for name, p in model.named_parameters() if id(p) in runs - learned}
    if space == "quantized":
        params |= {name: quantizer(w_latent) for name, (w_latent, quantizer) in latent_weights(model).items()}
    return params


@torch.no_grad()
def neighbours(model: nn.Module) -> tuple[Params, Params]:
    """Each quantized weight one code down and one code up, clipped at the ends of its grid.

    A filter of zeros stays, as in every relative measure: BatchNorm behind it has seen no variance, and blows
    up a single code to any size.
    """
    lower, upper = {}, {}
    for name, (w_latent, quantizer) in latent_weights(model).items():
        codes = quantizer.codes(w_latent)
        w_quant = quantizer.dequantize(codes)
        lives = (w_quant.flatten(1) != 0).any(1).view(-1, *[1] * (w_quant.ndim - 1))
        down = quantizer.dequantize((codes - 1).clamp_min(quantizer.qmin))
        up = quantizer.dequantize((codes + 1).clamp_max(quantizer.qmax))
        lower[name], upper[name] = torch.where(lives, down, w_quant), torch.where(lives, up, w_quant)
    return lower, upper


def _loss(model: nn.Module, loss: Loss, images: Tensor, labels: Tensor) -> Surface:
    return lambda params: loss(functional_call(model, params, (images,)), labels)
