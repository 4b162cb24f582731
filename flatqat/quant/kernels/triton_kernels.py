"""The kernels for CUDA, in Triton, which brings its own compiler.

Every program takes a block of one row of the (outer, channels, inner) tensor, so that it has one grid.
Division rounds to nearest and products are not fused with sums, as on a CPU. Sums of a block are stored and
added by torch in a fixed order: repeated runs give the same bits.
"""

import triton
import triton.language as tl

from flatqat.quant.kernels.rule import SMALLEST_SCALE

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
def _grid_of(scale, offset, channel, HAS_OFFSET: tl.constexpr):
    """Return the scale and the offset of a channel."""
    return tl.load(scale + channel), (tl.load(offset + channel) if HAS_OFFSET else 0.0)


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
def levels_kernel(
    v,
    out,
    scale,
    offset,
    low,
    high,
    divisor,
    inner,
    channels,
    HAS_OFFSET: tl.constexpr,
    OPEN_LOW: tl.constexpr,
    OPEN_HIGH: tl.constexpr,
    BLOCK: tl.constexpr,
):
    at, mask, channel = _place(inner, channels, BLOCK)
    size, beta = _grid_of(scale, offset, channel, HAS_OFFSET)
    values = tl.load(v + at, mask)
    _, codes, _, step = _rounded(values, size, beta, low, high, divisor, OPEN_LOW, OPEN_HIGH)
    _store(out, at, codes * step + beta, mask)


@triton.jit
def inside_kernel(
    v,
    out,
    scale,
    offset,
    low,
    high,
    divisor,
    inner,
    channels,
    HAS_OFFSET: tl.constexpr,
    OPEN_LOW: tl.constexpr,
    OPEN_HIGH: tl.constexpr,
    BLOCK: tl.constexpr,
):
    at, mask, channel = _place(inner, channels, BLOCK)
    size, beta = _grid_of(scale, offset, channel, HAS_OFFSET)
    values = tl.load(v + at, mask)
    _, _, within, _ = _rounded(values, size, beta, low, high, divisor, OPEN_LOW, OPEN_HIGH)
    tl.store(out + at, within, mask)


@triton.jit
def vjp_kernel(
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
    HAS_OFFSET: tl.constexpr,
    OPEN_LOW: tl.constexpr,
    OPEN_HIGH: tl.constexpr,
    RESIDUAL: tl.constexpr,
    ON_V: tl.constexpr,
    BLOCK: tl.constexpr,
):
    at, mask, channel = _place(inner, channels, BLOCK)
    g, values = tl.load(grad + at, mask, other=0.0).to(tl.float32), tl.load(v + at, mask, other=0.0)
    size, beta = _grid_of(scale, offset, channel, HAS_OFFSET)
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
def jvp_kernel(
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
    HAS_OFFSET: tl.constexpr,
    OPEN_LOW: tl.constexpr,
    OPEN_HIGH: tl.constexpr,
    RESIDUAL: tl.constexpr,
    BLOCK: tl.constexpr,
):
    at, mask, channel = _place(inner, channels, BLOCK)
    size, beta = _grid_of(scale, offset, channel, HAS_OFFSET)
    values = tl.load(v + at, mask)
    clipped, codes, within, _ = _rounded(values, size, beta, low, high, divisor, OPEN_LOW, OPEN_HIGH)
    kept = tl.where(within, clipped if RESIDUAL else codes, 0.0)
    direction = (size > 0).to(tl.float32) - (size < 0).to(tl.float32)
    by_scale = tl.load(tscale + channel) * (direction * factor / divisor)
    by_offset = tl.load(toffset + channel) * factor
    through = tl.load(tv + at, mask).to(tl.float32) * within.to(tl.float32)
    outside = 1.0 - within.to(tl.float32)
    _store(out, at, through + (codes - kept) * by_scale + outside * by_offset, mask)


@triton.jit
def attract_kernel(
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
    coefficient,
    inner,
    channels,
    HAS_OFFSET: tl.constexpr,
    OPEN_LOW: tl.constexpr,
    OPEN_HIGH: tl.constexpr,
    BLOCK: tl.constexpr,
):
    at, mask, channel = _place(inner, channels, BLOCK)
    size, shift = _grid_of(scale, offset, channel, HAS_OFFSET)
    values = tl.load(v + at, mask)
    _, _, within, _ = _rounded(values, size, shift, low, high, divisor, OPEN_LOW, OPEN_HIGH)
    a, to = tl.load(anchor + at, mask), tl.load(level + at, mask)
    moved = tl.where(beta < 0.5, a + beta * (to - a), to + (beta - 1.0) * (to - a))
    tl.store(anchor + at, moved, mask)
    pull = (to - moved) * within.to(tl.float32) * coefficient
    tl.store(grad + at, tl.load(grad + at, mask) + pull, mask)
