"""The kernels for CUDA, in Triton, which brings its own compiler.

Every program takes a block of one row of the (outer, channels, inner) tensor, so that it has one grid.
Division rounds to nearest and products are not fused with sums, as on a CPU. Sums of a block are stored and
added by torch in a fixed order: repeated runs give the same bits.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from flatqat.quant.kernels.formulas import Gradients, Tangents
from flatqat.quant.kernels.layout import Layout, laid_out_as
from flatqat.quant.kernels.rule import SMALLEST_SCALE, Rule

MOST_IN_BLOCK = 4096
SMALLEST = tl.constexpr(SMALLEST_SCALE)
NO_FRACTION = tl.constexpr(12582912.0)  # 1.5 · 2²³: a sum with it has no place for a fraction


@triton.jit
def _place(inner, channels, BLOCK: tl.constexpr):
    """Return the addresses, the mask and the channel of a program's values."""
    per_row = tl.cdiv(inner, BLOCK)
    row = tl.program_id(0) // per_row
    column = (tl.program_id(0) % per_row) * BLOCK + tl.arange(0, BLOCK)
    return row.to(tl.int64) * inner + column, column < inner, row % channels


@triton.jit
def _rounded(v, scale, offset, low, high, divisor, OPEN_LOW: tl.constexpr, OPEN_HIGH: tl.constexpr):
    """Return the clipped ratios, the codes, whether the ratios are within the range, and the step size."""
    size = tl.abs(scale)
    step = tl.div_rn(tl.where(size < SMALLEST, SMALLEST, size), divisor)
    ratio = tl.div_rn(v.to(tl.float32) - offset, step)
    clipped = tl.where(ratio < low, low, tl.where(ratio > high, high, ratio))
    codes = (clipped + NO_FRACTION) - NO_FRACTION  # half to even
    above = (ratio > low) if OPEN_LOW else (ratio >= low)
    below = (ratio < high) if OPEN_HIGH else (ratio <= high)
    return clipped, codes, above & below, step


@triton.jit
def _store(to, at, value, mask):
    """Store in the precision of the tensor; Triton does not say how it rounds to bfloat16."""
    if to.dtype.element_ty == tl.bfloat16:
        bits = value.to(tl.int32, bitcast=True)
        even = (bits + 0x7FFF + ((bits >> 16) & 1)) & -65536
        value = tl.where(value == value, even.to(tl.float32, bitcast=True), value)
    tl.store(to + at, value, mask)


@triton.jit
def _levels_kernel(v, out, scale, offset, low, high, divisor, inner, channels, BLOCK: tl.constexpr):
    at, mask, channel = _place(inner, channels, BLOCK)
    beta = tl.load(offset + channel)
    values = tl.load(v + at, mask)
    _, codes, _, step = _rounded(values, tl.load(scale + channel), beta, low, high, divisor, False, False)
    _store(out, at, codes * step + beta, mask)


@triton.jit
def _inside_kernel(
    v,
    out,
    scale,
    offset,
    low,
    high,
    divisor,
    inner,
    channels,
    OPEN_LOW: tl.constexpr,
    OPEN_HIGH: tl.constexpr,
    BLOCK: tl.constexpr,
):
    at, mask, channel = _place(inner, channels, BLOCK)
    values, size, beta = tl.load(v + at, mask), tl.load(scale + channel), tl.load(offset + channel)
    _, _, within, _ = _rounded(values, size, beta, low, high, divisor, OPEN_LOW, OPEN_HIGH)
    tl.store(out + at, within, mask)


@triton.jit
def _pull_kernel(
    grad,
    v,
    on_v,
    sums,
    scale,
    offset,
    low,
    high,
    divisor,
    factor,
    delta,
    inner,
    channels,
    programs,
    OPEN_LOW: tl.constexpr,
    OPEN_HIGH: tl.constexpr,
    RESIDUAL: tl.constexpr,
    ON_V: tl.constexpr,
    BLOCK: tl.constexpr,
):
    at, mask, channel = _place(inner, channels, BLOCK)
    g, values = tl.load(grad + at, mask, other=0.0).to(tl.float32), tl.load(v + at, mask, other=0.0)
    size, beta = tl.load(scale + channel), tl.load(offset + channel)
    clipped, codes, within, _ = _rounded(values, size, beta, low, high, divisor, OPEN_LOW, OPEN_HIGH)
    residual = clipped - codes
    sign = (g > 0).to(tl.float32) - (g < 0).to(tl.float32)
    through = (residual * sign * delta + 1.0) * g * within.to(tl.float32)
    stopped = g - through
    slope = stopped * codes - through * residual if RESIDUAL else stopped * codes
    direction = (size > 0).to(tl.float32) - (size < 0).to(tl.float32)
    tl.store(sums + tl.program_id(0), tl.sum(tl.where(mask, slope, 0.0)) * (direction * factor / divisor))
    tl.store(sums + programs + tl.program_id(0), tl.sum(tl.where(mask, stopped, 0.0)) * factor)
    if ON_V:
        _store(on_v, at, through, mask)


@triton.jit
def _push_kernel(
    tv,
    tscale,
    toffset,
    v,
    out,
    scale,
    offset,
    low,
    high,
    divisor,
    factor,
    inner,
    channels,
    OPEN_LOW: tl.constexpr,
    OPEN_HIGH: tl.constexpr,
    RESIDUAL: tl.constexpr,
    BLOCK: tl.constexpr,
):
    at, mask, channel = _place(inner, channels, BLOCK)
    values, size, beta = tl.load(v + at, mask), tl.load(scale + channel), tl.load(offset + channel)
    clipped, codes, within, _ = _rounded(values, size, beta, low, high, divisor, OPEN_LOW, OPEN_HIGH)
    kept = tl.where(within, clipped if RESIDUAL else codes, 0.0)
    direction = (size > 0).to(tl.float32) - (size < 0).to(tl.float32)
    by_scale = tl.load(tscale + channel) * (direction * factor / divisor)
    by_offset = tl.load(toffset + channel) * factor
    through = tl.load(tv + at, mask).to(tl.float32) * within.to(tl.float32)
    outside = 1.0 - within.to(tl.float32)
    _store(out, at, through + (codes - kept) * by_scale + outside * by_offset, mask)


@triton.jit
def _attract_kernel(
    grad,
    anchor,
    v,
    level,
    scale,
    offset,
    low,
    high,
    divisor,
    beta,
    strength,
    inner,
    channels,
    OPEN_LOW: tl.constexpr,
    OPEN_HIGH: tl.constexpr,
    BLOCK: tl.constexpr,
):
    at, mask, channel = _place(inner, channels, BLOCK)
    values, size, shift = tl.load(v + at, mask), tl.load(scale + channel), tl.load(offset + channel)
    _, _, within, _ = _rounded(values, size, shift, low, high, divisor, OPEN_LOW, OPEN_HIGH)
    a, to = tl.load(anchor + at, mask), tl.load(level + at, mask)
    moved = tl.where(beta < 0.5, a + beta * (to - a), to + (beta - 1.0) * (to - a))
    tl.store(anchor + at, moved, mask)
    pull = (to - moved) * within.to(tl.float32) * strength
    tl.store(grad + at, tl.load(grad + at, mask) + pull, mask)


def levels(v: Tensor, scale: Tensor, offset: Tensor | None, rule: Rule, layout: Layout) -> Tensor:
    """Return what `formulas.levels` does, to the bit."""
    out = torch.empty_like(v)
    _launch(_levels_kernel, layout, v, out, *_grid(scale, offset, rule))
    return out


def inside(v: Tensor, scale: Tensor, offset: Tensor | None, rule: Rule, layout: Layout) -> Tensor:
    """Return what `formulas.inside` does, to the bit."""
    out = torch.empty_like(v, dtype=torch.bool)
    _launch(_inside_kernel, layout, v, out, *_grid(scale, offset, rule), **_ends(rule))
    return out


def pull(
    grad: Tensor, v: Tensor, scale: Tensor, offset: Tensor | None, rule: Rule, layout: Layout, on_v: bool
) -> Gradients:
    """Return what `formulas.pull` does, sums in another order; for `v`, nothing if it is not wanted."""
    programs, _ = _programs(layout)
    given = torch.empty_like(v) if on_v else v.new_empty(0)
    sums = scale.new_empty(2, layout.outer, layout.channels, programs // (layout.outer * layout.channels))
    tensors = laid_out_as(grad, v), v, given, sums, *_grid(scale, offset, rule)
    sizes = {"programs": programs, "factor": float(rule.factor), "delta": float(rule.delta)}
    _launch(_pull_kernel, layout, *tensors, **sizes, **_ends(rule), RESIDUAL=bool(rule.residual), ON_V=on_v)
    on_scale, on_offset = sums.sum((1, 3))
    return given, on_scale.view(scale.shape), on_offset.view(scale.shape)


def push(
    tangents: Tangents, v: Tensor, scale: Tensor, offset: Tensor | None, rule: Rule, layout: Layout
) -> Tensor:
    """Return what `formulas.push` does."""
    on_v, on_scale, on_offset = tangents
    out = torch.empty_like(v)
    tensors = (
        torch.zeros_like(v) if on_v is None else laid_out_as(on_v, v),
        *(torch.zeros_like(scale) if t is None else t.contiguous() for t in (on_scale, on_offset)),
    )
    ends = _ends(rule) | {"RESIDUAL": bool(rule.residual), "factor": float(rule.factor)}
    _launch(_push_kernel, layout, *tensors, v, out, *_grid(scale, offset, rule), **ends)
    return out


def attract_(
    grad: Tensor,
    anchor: Tensor,
    v: Tensor,
    level: Tensor,
    scale: Tensor,
    offset: Tensor | None,
    rule: Rule,
    layout: Layout,
    beta: float,
    strength: float,
) -> None:
    """Do what `formulas.attract_` does, in place; a product may be rounded before its sum."""
    numbers = {"beta": float(beta), "strength": float(strength)}
    tensors = grad, anchor, v, level, *_grid(scale, offset, rule)
    _launch(_attract_kernel, layout, *tensors, **numbers, **_ends(rule))


def _grid(scale: Tensor, offset: Tensor | None, rule: Rule) -> tuple[Any, ...]:
    offset = torch.zeros_like(scale) if offset is None else offset
    return scale, offset, float(rule.low), float(rule.high), float(rule.divisor)


def _ends(rule: Rule) -> dict[str, Any]:
    return {"OPEN_LOW": bool(rule.open_low), "OPEN_HIGH": bool(rule.open_high)}


def _programs(layout: Layout) -> tuple[int, int]:
    """Return how many programs a tensor takes, and how many values each of them."""
    block = min(MOST_IN_BLOCK, triton.next_power_of_2(layout.inner))
    return layout.outer * layout.channels * triton.cdiv(layout.inner, block), block


def _launch(kernel: Any, layout: Layout, *given: Any, **named: Any) -> None:
    programs, block = _programs(layout)
    sizes = {"inner": layout.inner, "channels": layout.channels, "BLOCK": block}
    with torch.cuda.device_of(given[0]):
        kernel[(programs,)](*given, **named, **sizes, enable_fp_fusion=False)
