"""The point at which flatness is measured: which tensors are moved, from which values, on which images.

The true loss of a quantized network is piecewise constant, so a finite curvature is always that of a
surrogate. The space says which:

- `quantized`: the weights are at Q(W), are not rounded, and are moved. This is the deployed point, and it can
  be compared with full precision.
- `latent`: W is moved, with rounding and its straight-through gradient in the loop.
- `step_size`: only what the quantizers learn is moved: step sizes, offsets and thresholds.

Input quantizers are on or off. A custom backward that is not the gradient of a function is replaced by the
straight-through rule. BatchNorm is in eval mode, everything is in float32, and all methods use the same
training images without augmentation.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call

from flatqat.bench.cell.batches import Batch
from flatqat.data.tensors.image_data import ImageData, Transform
from flatqat.flatness.params import LossFn, Params
from flatqat.metrics.loss import Loss, cross_entropy, label_count
from flatqat.quant.apply import (
    disabled,
    in_inference,
    latent_weights,
    quantizable,
    quantizers,
    ste_gradients,
)
from flatqat.quant.fold import fold_
from flatqat.spec import Cell, Space

CHUNK, SMALLEST_CHUNK = 256, 8  # images per chunk; with label maps, a chunk may be a single image
CHUNK_VALUES = 2**22  # second derivatives need several times the activations of a forward pass


@dataclass(frozen=True, slots=True, kw_only=True)
class FlatnessPoint:
    """The losses, the tensors that are moved, and the lower and upper grid neighbors of those on a grid.

    `backward_replaced` says that the custom backward of a quantizer was replaced by the straight-through one.
    """

    losses: Sequence[LossFn]
    params: Params
    lower: Params
    upper: Params
    space: Space
    backward_replaced: bool
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
    chunk: int | None = None,
) -> Iterator[FlatnessPoint]:
    """Yield the point of `space` for a loss. `acts` says whether input quantizers are on.

    `chunk` is the number of images that are in memory at a time, by default those of a batch.

    Within the context, the network is in eval mode and its quantizers are set up for the point. Weights that
    layers compute (weight norm) are folded for good, so that in floating point, too, the weights are moved.
    """
    fold_(quantizable(model.eval()))
    off = [role for role, is_off in (("weight", space == "quantized"), ("input", not acts)) if is_off]
    params = moved_params(model, space)
    lower, upper = neighbors(model) if space == "quantized" else ({}, {})
    with disabled(model, roles=tuple(off)), ste_gradients(model):
        yield FlatnessPoint(
            losses=_losses(model, batches, loss, chunk),
            params=params,
            lower=lower,
            upper=upper,
            space=space,
            backward_replaced=any(q.custom_backward and q.role not in off for _, q in quantizers(model)),
            seed=cell.derive_seed("flatness") % 2**31,
        )


def flatness_batches(
    cell: Cell, data: ImageData, images: int, device: torch.device | str, *, view: Transform
) -> list[Batch]:
    """Return the first `images` of a permutation that all methods share, in chunks of equal size.

    A chunk has CHUNK images, or fewer if these are large: 16 with 224 x 224 pixels.
    """
    generator = torch.Generator().manual_seed(cell.derive_seed("flatness"))
    index = torch.randperm(len(data), generator=generator)[:images]
    transformed, chunk = data.transformed(view), CHUNK
    values, smallest = transformed.fetch(index[:1]).numel(), 1 if data.per_pixel else SMALLEST_CHUNK
    while chunk * values > CHUNK_VALUES and chunk > smallest:
        chunk //= 2
    index = index[: max(chunk, len(index) // chunk * chunk)]
    return [transformed.batch(part, device) for part in index.split(chunk)]


@torch.no_grad()
def moved_params(model: nn.Module, space: Space) -> Params:
    """Return the tensors that are moved in `space`, by name and detached.

    In the space `step_size` these are what the quantizers learn, or their step sizes if they learn nothing;
    without quantizers there are none. In the other spaces they are all other parameters, without those of
    heads that only training uses.
    """
    learned = {id(p) for _, quantizer in quantizers(model) for p in quantizer.parameters()}
    if space == "step_size":
        fixed = {id(quantizer.scale) for _, quantizer in quantizers(model)}
        return {name: p.detach() for name, p in model.named_parameters() if id(p) in learned} or {
            name: buffer.detach() for name, buffer in model.named_buffers() if id(buffer) in fixed
        }
    used = {id(p) for module in in_inference(model).values() for p in module.parameters(recurse=False)}
    params = {name: p.detach() for name, p in model.named_parameters() if id(p) in used - learned}
    if space == "quantized":
        params |= {name: quantizer(w_latent) for name, (w_latent, quantizer) in latent_weights(model).items()}
    return params


@torch.no_grad()
def neighbors(model: nn.Module) -> tuple[Params, Params]:
    """Return each quantized weight one code down and one code up, clipped at the ends of its grid.

    A filter of zeros stays fixed, as in all relative measures: the BatchNorm behind it has a running variance
    of zero, and would scale a single code to any size.
    """
    lower, upper = {}, {}
    for name, (w_latent, quantizer) in latent_weights(model).items():
        codes = quantizer.codes(w_latent)
        w_quant = quantizer.dequantize(codes)
        nonzero = (w_quant.flatten(1) != 0).any(1).view(-1, *[1] * (w_quant.ndim - 1))
        down = quantizer.dequantize((codes - 1).clamp_min(quantizer.qmin))
        up = quantizer.dequantize((codes + 1).clamp_max(quantizer.qmax))
        lower[name], upper[name] = torch.where(nonzero, down, w_quant), torch.where(nonzero, up, w_quant)
    return lower, upper


def _losses(model: nn.Module, batches: Sequence[Batch], loss: Loss, chunk: int | None) -> Sequence[LossFn]:
    """Return losses whose mean is that of the batches, whatever the size of a chunk.

    A part of a batch weighs as much as it has labels, of images or of pixels.
    """
    if chunk is None or all(len(labels) <= chunk for _, labels in batches):
        return [_loss(model, loss, images, labels) for images, labels in batches]
    count = sum(-(-len(labels) // chunk) for _, labels in batches)
    losses = []
    for whole, all_labels in batches:
        share = count / len(batches) / max(1, label_count(all_labels))
        for images, labels in zip(whole.split(chunk), all_labels.split(chunk), strict=True):
            losses.append(_loss(model, loss, images, labels, weight=share * label_count(labels)))
    return losses


def _loss(model: nn.Module, loss: Loss, images: Tensor, labels: Tensor, weight: float = 1.0) -> LossFn:
    return lambda params: weight * loss(functional_call(model, params, (images,)), labels)
