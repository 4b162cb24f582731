"""Rounding with explicit gradients: the operations that all quantizers are built from."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

LOW_PRECISION = (torch.bfloat16, torch.float16)
Pairs = Sequence[tuple[Tensor, Tensor]]


def full_precision(v: Tensor) -> Tensor:
    """Return `v`, in float32 if it has half precision: codes are computed in float32."""
    return v.float() if v.dtype in LOW_PRECISION else v


def within(ratio: Tensor, low: float, high: float, open_ends: tuple[bool, bool] = (False, False)) -> Tensor:
    """Return whether low ≤ ratio ≤ high, without the bound itself at an end that is open."""
    above = ratio > low if open_ends[0] else ratio >= low
    return above & (ratio < high if open_ends[1] else ratio <= high)


def fake_quantize(
    v: Tensor,
    scale: Tensor,
    qmin: int,
    qmax: int,
    grad_scale: float = 1.0,
    offset: Tensor | None = None,
    *,
    open_ends: tuple[bool, bool] = (False, False),
) -> Tensor:
    """v̂ = s · clip(round((v − β) / s), qmin, qmax) + β, with the straight-through gradient of LSQ and LSQ+.

    With r = (v − β) / s: ∂v̂/∂v = 1 where qmin ≤ r ≤ qmax (an end that is open excluded), else 0;
    ∂v̂/∂s = round(r) − r inside, `qmin` or `qmax` outside; ∂v̂/∂β = 0 inside, 1 outside. The last two are
    multiplied by `grad_scale`. Without `offset`, β = 0. The subgradient of `torch.clamp` is not used: at the
    bounds, where every clipped value lies, it differs between torch releases.

    `v` has any shape, `scale` and `offset` broadcast against it; half precision is quantized in float32.
    Rounding is half to even. Source: Esser et al. 2020 (LSQ), eq. 1 to 3; Bhalgat et al. 2020 (LSQ+).
    """
    v = full_precision(v)
    if not torch.is_grad_enabled():  # nothing to save for the backward pass: one tensor instead of four
        ratio = v / scale if offset is None else (v - offset).div_(scale)
        value = ratio.clamp_(qmin, qmax).round_().mul_(scale)
        return value if offset is None else value.add_(offset)
    with torch.no_grad():
        ratio = v / scale if offset is None else (v - offset).div_(scale)
        clipped = ratio.clamp(qmin, qmax)
        inside = within(ratio, qmin, qmax, open_ends) if any(open_ends) else clipped == ratio
        codes = torch.round(clipped, out=ratio)
        learned = []
        if scale.requires_grad:  # in place: memory traffic dominates the cost
            learned.append((scale, clipped.mul_(inside).neg_().add_(codes)))
        if offset is not None and offset.requires_grad:
            learned.append((offset, ~inside))
        value = codes.mul_(scale) if offset is None else codes.mul_(scale).add_(offset)
    return surrogate(value, v, inside, learned, grad_scale)


def surrogate(
    value: Tensor, v: Tensor, inside: Tensor | None, learned: Pairs = (), grad_scale: float = 1.0
) -> Tensor:
    """Return `value`, with the given derivatives with respect to `v` and to learned parameters.

    ∂/∂v is `inside` (None: 1), and ∂/∂p is `grad_scale` · slope for every pair (p, slope) in `learned`.
    These are constants of the backward pass, which is linear in the upstream gradient: second derivatives are
    those of a function that is linear in v and in every p.
    """
    params, slopes = [p for p, _ in learned], [slope for _, slope in learned]
    return _Surrogate.apply((value, inside, slopes, grad_scale), v, *params)  # type: ignore[no-any-return]


def scale_gradient(p: Tensor, factor: float) -> Tensor:
    """Return `p` bit for bit, with its gradient multiplied by `factor`."""
    return surrogate(p.detach(), p.detach(), None, [(p, torch.ones_like(p))], factor)


def to_codes(v: Tensor, scale: Tensor, qmin: int, qmax: int) -> Tensor:
    """Return the integer codes clip(round(v / s), qmin, qmax), as int32."""
    return (v / scale).round().clamp(qmin, qmax).to(torch.int32)


def from_codes(codes: Tensor, scale: Tensor) -> Tensor:
    """Return the dequantized values s · code."""
    return codes.to(scale.dtype) * scale


class _Surrogate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, given: tuple[Any, ...], v: Tensor, *params: Tensor) -> Tensor:
        value, inside, slopes, ctx.grad_scale = given
        ctx.save_for_backward(inside, *slopes)
        ctx.shapes = [p.shape for p in params]
        return value  # type: ignore[no-any-return]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (grad,), (inside, *slopes) = grads, ctx.saved_tensors
        on_v = grad if inside is None else grad * inside
        pairs = zip(slopes, ctx.shapes, strict=True)
        return None, on_v, *((grad * slope).sum_to_size(shape) * ctx.grad_scale for slope, shape in pairs)
