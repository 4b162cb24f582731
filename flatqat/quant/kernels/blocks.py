"""The formulas on a CPU without a compiler: block after block, so that they stay in its cache."""

from collections.abc import Iterator

import torch
from torch import Tensor

from flatqat.quant.kernels import formulas
from flatqat.quant.kernels.formulas import Gradients, attract_, inside, push
from flatqat.quant.kernels.rule import Rule

__all__ = ["attract_", "inside", "levels", "pull", "push"]
BLOCK = 2**16
Block = tuple[slice, Tensor, Tensor | None]


def levels(v: Tensor, scale: Tensor, offset: Tensor | None, rule: Rule) -> Tensor:
    """Return what `formulas.levels` does, to the bit."""
    if (rows := _rows(v, scale)) is None:
        return formulas.levels(v, scale, offset, rule)
    out = torch.empty_like(v, memory_format=torch.contiguous_format)
    to = out.view_as(rows)
    for part, s, b in _blocks(rows, scale, offset):
        to[part] = formulas.levels(rows[part], s, b, rule)
    return out


def pull(
    grad: Tensor, v: Tensor, scale: Tensor, offset: Tensor | None, rule: Rule, on_v: bool = True
) -> Gradients:
    """Return what `formulas.pull` does: the gradient of `v` to the bit, sums in another order."""
    if (rows := _rows(v, scale)) is None:
        return formulas.pull(grad, v, scale, offset, rule)
    grads = grad.contiguous().view_as(rows)
    given, on_scale, on_offset = torch.empty_like(rows), torch.zeros_like(scale), torch.zeros_like(scale)
    for part, s, b in _blocks(rows, scale, offset):
        given[part], by_scale, by_offset = formulas.pull(grads[part], rows[part], s, b, rule)
        where = part if scale.ndim else ...
        on_scale[where] += by_scale
        on_offset[where] += by_offset
    return given.view(v.shape), on_scale, on_offset


def _rows(v: Tensor, scale: Tensor) -> Tensor | None:
    """Return a view of `v` whose first axis can be cut: along its values or its output channels."""
    if v.numel() < 2 * BLOCK or not v.is_contiguous():
        return None
    if scale.ndim == 0:
        return v.view(-1)
    return v if scale.shape == (len(v), *[1] * (v.ndim - 1)) else None


def _blocks(rows: Tensor, scale: Tensor, offset: Tensor | None) -> Iterator[Block]:
    """Yield slices of about BLOCK values, with their scales and offsets."""
    stride = max(1, BLOCK * len(rows) // rows.numel())
    for start in range(0, len(rows), stride):
        part = slice(start, start + stride)
        whole = scale.ndim == 0
        yield part, scale if whole else scale[part], offset if whole or offset is None else offset[part]
