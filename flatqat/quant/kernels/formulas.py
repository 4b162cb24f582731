"""The operations in terms of torch's own, one after the other: what the kernels compute, on any tensor.

With the step size s = max(|scale|, SMALLEST_SCALE) / divisor, r = (v − β) / s, c = clip(r), q = round(c),
half to even, and I = 1 inside the range and 0 outside:

    levels:  v̂ = s · q + β
    vjp:     ∂/∂v:      t = g · I · (1 + δ · sign(g) · (c − q))
             ∂/∂scale:  Σ (g − t) · q − t · (c − q),  times factor · sign(scale) / divisor
             ∂/∂β:      Σ (g − t),                    times factor
    jvp:     the derivative of v̂ along a tangent, for δ = 0; the adjoint of `vjp`
    attract: a ← a + β' · (v̂ − a),   g ← g + coefficient · I · (v̂ − a),   in place

with g the gradient of v̂. Without `residual` the term with c − q is left out of ∂/∂scale. A compiler fuses
these lines by itself, and functorch maps them over a batch.
"""

import torch
from torch import Tensor

from flatqat.quant.kernels.rule import SMALLEST_SCALE, Grid, Rule

LOW_PRECISION = (torch.bfloat16, torch.float16)
Gradients = tuple[Tensor, Tensor, Tensor]


def widened(v: Tensor) -> Tensor:
    """Return `v`, in float32 if it has half precision."""
    return v.float() if v.dtype in LOW_PRECISION else v


def step_size(scale: Tensor, rule: Rule) -> Tensor:
    """Return the distance between adjacent levels, which is never zero."""
    size = scale.abs().clamp_min(SMALLEST_SCALE)
    return size if rule.divisor == 1 else size / rule.divisor


def ratio(grid: Grid) -> Tensor:
    """Return r, in units of the step size; half precision is decided in float32."""
    v, step = widened(grid.v), step_size(grid.scale, grid.rule)
    return v / step if grid.offset is None else (v - grid.offset) / step


def in_bounds(r: Tensor, rule: Rule) -> Tensor:
    """Return whether low ≤ r ≤ high, without the bound itself at an end that is open."""
    above = r > rule.low if rule.open_low else r >= rule.low
    return above & (r < rule.high if rule.open_high else r <= rule.high)


def levels(grid: Grid) -> Tensor:
    """Return v̂, of the dtype of `v`."""
    rule, step = grid.rule, step_size(grid.scale, grid.rule)
    codes = ratio(grid).clamp(rule.low, rule.high).round()
    value = codes * step if grid.offset is None else codes * step + grid.offset
    return value.to(grid.v.dtype)


def inside(grid: Grid) -> Tensor:
    """Return I as booleans."""
    return in_bounds(ratio(grid), grid.rule)


def vjp(grid: Grid, grad: Tensor, on_v: bool = True) -> Gradients:
    """Return the gradients of `v` (also if it is not wanted), of `scale`, and of an offset (also without)."""
    rule, scale, r = grid.rule, grid.scale, ratio(grid)
    clipped = r.clamp(rule.low, rule.high)
    codes, within = clipped.round(), in_bounds(r, rule)
    residual = clipped - codes
    grad = widened(grad)
    through = grad * within
    if rule.delta:
        through = through * (residual * grad.sign() * rule.delta + 1)
    stopped = grad - through
    on_step = stopped * codes
    if rule.residual:
        on_step = on_step - through * residual
    on_scale = on_step.sum_to_size(scale.shape) * (rule.factor / rule.divisor) * scale.sign()
    return through.to(grid.v.dtype), on_scale, stopped.sum_to_size(scale.shape) * rule.factor


def jvp(grid: Grid, on_v: Tensor | None, on_scale: Tensor | None, on_offset: Tensor | None) -> Tensor:
    """Return the derivative of v̂ along tangents of `v`, `scale` and offset; None stands for zero."""
    rule, r = grid.rule, ratio(grid)
    clipped, within = r.clamp(rule.low, rule.high), in_bounds(r, rule)
    out = torch.zeros_like(clipped) if on_v is None else widened(on_v) * within
    if on_scale is not None:
        codes = clipped.round()
        slope = codes - (clipped if rule.residual else codes) * within
        out = out + slope * (on_scale * grid.scale.sign() * (rule.factor / rule.divisor))
    if on_offset is not None:
        out = out + ~within * (on_offset * rule.factor)
    return out.to(grid.v.dtype)


def attract_(
    grid: Grid, grad: Tensor, anchor: Tensor, level: Tensor, beta: float, coefficient: float
) -> None:
    """Move `anchor` by a fraction `beta` to `level`, and add its pull from there to `grad`, in place."""
    anchor.lerp_(level, beta)
    grad.add_((level - anchor).mul_(inside(grid)).mul_(coefficient))
