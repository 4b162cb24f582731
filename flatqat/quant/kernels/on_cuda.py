"""The kernels for CUDA: how those of `triton_kernels` are launched."""

from typing import Any

import torch
import triton
from torch import Tensor

from flatqat.quant.kernels import formulas
from flatqat.quant.kernels import triton_kernels as kernels
from flatqat.quant.kernels.formulas import Gradients
from flatqat.quant.kernels.layout import alike, laid_out_as
from flatqat.quant.kernels.rule import Grid, Layout

MOST_IN_BLOCK = 4096


def levels(grid: Grid) -> Tensor:
    """Return what `formulas.levels` does, to the bit."""
    out = torch.empty_like(grid.v)
    _launch(kernels.levels_kernel, grid, grid.v, out)
    return out


def inside(grid: Grid) -> Tensor:
    """Return what `formulas.inside` does, to the bit."""
    out = torch.empty_like(grid.v, dtype=torch.bool)
    _launch(kernels.inside_kernel, grid, grid.v, out)
    return out


def vjp(grid: Grid, grad: Tensor, on_v: bool = True) -> Gradients:
    """Return what `formulas.vjp` does, sums in another order; for `v`, nothing if it is not wanted."""
    v, scale, _, rule, layout = grid
    assert layout is not None
    programs, _ = _programs(layout)
    given = torch.empty_like(v) if on_v else v.new_empty(0)
    sums = scale.new_empty(2, layout.outer, layout.channels, programs // (layout.outer * layout.channels))
    numbers = {"programs": programs, "factor": float(rule.factor), "delta": float(rule.delta)}
    flags = {"RESIDUAL": bool(rule.residual), "ON_V": on_v}
    _launch(kernels.vjp_kernel, grid, laid_out_as(grad, v), v, given, sums, **numbers, **flags)
    on_scale, on_offset = sums.sum((1, 3))
    return given, on_scale.view(scale.shape), on_offset.view(scale.shape)


def jvp(grid: Grid, on_v: Tensor | None, on_scale: Tensor | None, on_offset: Tensor | None) -> Tensor:
    """Return what `formulas.jvp` does."""
    v, scale, rule, out = grid.v, grid.scale, grid.rule, torch.empty_like(grid.v)
    tensors = (
        torch.zeros_like(v) if on_v is None else laid_out_as(on_v, v),
        *(torch.zeros_like(scale) if t is None else t.contiguous() for t in (on_scale, on_offset)),
    )
    numbers = {"factor": float(rule.factor), "RESIDUAL": bool(rule.residual)}
    _launch(kernels.jvp_kernel, grid, *tensors, v, out, **numbers)
    return out


def attract_(
    grid: Grid, grad: Tensor, anchor: Tensor, level: Tensor, beta: float, coefficient: float
) -> None:
    """Do what `formulas.attract_` does, in place; a product may be rounded before its sum."""
    if not alike(grid.v, grad, anchor, level):
        return formulas.attract_(grid, grad, anchor, level, beta, coefficient)
    numbers = {"beta": float(beta), "coefficient": float(coefficient)}
    return _launch(kernels.attract_kernel, grid, grad, anchor, grid.v, level, **numbers)


def _programs(layout: Layout) -> tuple[int, int]:
    """Return how many programs a tensor takes, and how many values each of them."""
    block = min(MOST_IN_BLOCK, triton.next_power_of_2(layout.inner))
    return layout.outer * layout.channels * triton.cdiv(layout.inner, block), block


def _launch(kernel: Any, grid: Grid, *tensors: Tensor, **named: Any) -> None:
    """Launch a kernel on tensors, which are followed by what all kernels take."""
    _, scale, offset, rule, layout = grid
    assert layout is not None
    programs, block = _programs(layout)
    bounds = {"low": float(rule.low), "high": float(rule.high), "divisor": float(rule.divisor)}
    ends = {"OPEN_LOW": bool(rule.open_low), "OPEN_HIGH": bool(rule.open_high)}
    sizes = {"inner": layout.inner, "channels": layout.channels, "BLOCK": block}
    where = {"scale": scale, "offset": scale if offset is None else offset, "HAS_OFFSET": offset is not None}
    with torch.cuda.device_of(scale):
        kernel[(programs,)](*tensors, **where, **bounds, **ends, **sizes, **named, enable_fp_fusion=False)
