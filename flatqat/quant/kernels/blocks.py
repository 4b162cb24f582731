"""The formulas on a CPU without a compiler: block after block, so that they stay in its cache."""

from collections.abc import Iterator

import torch
from torch import Tensor

from flatqat.quant.kernels import formulas
from flatqat.quant.kernels.formulas import Gradients, attract_, inside, jvp
from flatqat.quant.kernels.rule import Grid

__all__ = ["attract_", "inside", "jvp", "levels", "vjp"]
BLOCK = 2**16


def levels(grid: Grid) -> Tensor:
    """Return what `formulas.levels` does, to the bit."""
    if (rows := _rows(grid)) is None:
        return formulas.levels(grid)
    out = torch.empty_like(grid.v, memory_format=torch.contiguous_format)
    to = out.view_as(rows)
    for part, block in _blocks(grid, rows):
        to[part] = formulas.levels(block)
    return out


def vjp(grid: Grid, grad: Tensor, on_v: bool = True) -> Gradients:
    """Return what `formulas.vjp` does: the gradient of `v` to the bit, sums in another order."""
    if (rows := _rows(grid)) is None:
        return formulas.vjp(grid, grad)
    scale, grads = grid.scale, grad.contiguous().view_as(rows)
    given, on_scale, on_offset = torch.empty_like(rows), torch.zeros_like(scale), torch.zeros_like(scale)
    for part, block in _blocks(grid, rows):
        given[part], by_scale, by_offset = formulas.vjp(block, grads[part])
        where = part if scale.ndim else ...
        on_scale[where] += by_scale
        on_offset[where] += by_offset
    return given.view(grid.v.shape), on_scale, on_offset


def _rows(grid: Grid) -> Tensor | None:
    """Return a view of `v` whose first axis can be cut: along its values or its output channels."""
    v, scale = grid.v, grid.scale
    if v.numel() < 2 * BLOCK or not v.is_contiguous():
        return None
    if scale.ndim == 0:
        return v.view(-1)
    return v if scale.shape == (len(v), *[1] * (v.ndim - 1)) else None


def _blocks(grid: Grid, rows: Tensor) -> Iterator[tuple[slice, Grid]]:
    """Yield slices of about BLOCK values, and what is rounded there."""
    stride = max(1, BLOCK * len(rows) // rows.numel())
    for start in range(0, len(rows), stride):
        part = slice(start, start + stride)
        scale, offset = (t if t is None or t.ndim == 0 else t[part] for t in (grid.scale, grid.offset))
        assert scale is not None
        yield part, Grid(rows[part], scale, offset, grid.rule)
