"""The one rounding operation of every uniform quantizer, with a backward of its own."""

from typing import Any

import torch
from torch import Tensor

LOW_PRECISION = (torch.bfloat16, torch.float16)


def fake_quantize(v: Tensor, scale: Tensor, low: int, high: int, grad_scale: float = 1.0) -> Tensor:
    """v̂ = s · clip(round(v / s), low, high), with the straight-through gradient of LSQ.

    ∂v̂/∂v = 1 where low ≤ v/s ≤ high (bounds included), else 0;
    ∂v̂/∂s = round(v/s) − v/s inside, `low` or `high` outside, times `grad_scale`.

    The bound is part of the range by definition here, not by what `torch.clamp` happens to do: its
    subgradient there differs between torch releases, and every saturated code sits exactly on the bound.
    The mask and the rounding residual are constants of the backward, so that second derivatives are those
    of the surrogate v̂ = s · (clip(v/s) + r) with r fixed.

    `v` has any shape, `scale` broadcasts against it; rounding is half to even. Half-precision input is
    quantized in float32. Source: Esser et al. 2020 (LSQ), equations 1 to 3.
    """
    if v.dtype in LOW_PRECISION:
        v = v.float()
    if not torch.is_grad_enabled():  # nothing to keep for a backward: one tensor instead of four
        return (v / scale).clamp_(low, high).round_().mul_(scale)
    result: Tensor = _FakeQuantize.apply(v, scale, low, high, grad_scale)
    return result


def to_codes(v: Tensor, scale: Tensor, low: int, high: int) -> Tensor:
    """The integer codes clip(round(v / s), low, high), as int32."""
    return (v / scale).round().clamp(low, high).to(torch.int32)


def from_codes(codes: Tensor, scale: Tensor) -> Tensor:
    """The real dequantization s · code."""
    return codes.to(scale.dtype) * scale


class _FakeQuantize(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, v: Tensor, scale: Tensor, low: int, high: int, grad_scale: float) -> Tensor:
        ratio = v / scale
        clipped = ratio.clamp(low, high)
        inside = clipped == ratio
        codes = clipped.round_()
        slope = None
        if ctx.needs_input_grad[1]:  # in place: memory traffic is what this costs
            slope = ratio.mul_(inside).neg_().add_(codes)
        ctx.save_for_backward(inside, slope)
        ctx.scale_shape, ctx.grad_scale = scale.shape, grad_scale
        return codes.mul_(scale)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor | None, None, None, None]:
        (grad,) = grads
        inside, slope = ctx.saved_tensors
        grad_scale = None if slope is None else (grad * slope).sum_to_size(ctx.scale_shape) * ctx.grad_scale
        return grad * inside, grad_scale, None, None, None
