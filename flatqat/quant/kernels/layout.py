"""How the grids of a tensor lie in its memory."""

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor

from flatqat.quant.kernels.rule import Layout

KERNEL_DTYPES = (torch.float32, torch.bfloat16)


def channel_axis(scale_shape: Sequence[int]) -> int | None:
    """Return the axis along which a tensor has several scales, the longest; None with one for all of it."""
    return max(range(len(scale_shape)), key=scale_shape.__getitem__) if scale_shape else None


def layout_of(v: Tensor, scale: Tensor, offset: Tensor | None) -> Layout | None:
    """Return the layout of `v`, or None if fused kernels do not take its dtype, its strides or its grids."""
    grids = [scale] if offset is None else [scale, offset]
    if v.dtype not in KERNEL_DTYPES or not v.numel() or scale.shape != grids[-1].shape:
        return None
    if any(grid.dtype != torch.float32 or not grid.is_contiguous() for grid in grids):
        return None
    if scale.numel() == 1:
        return Layout(1, 1, v.numel()) if _is_dense(v) else None
    axis = channel_axis(scale.shape)
    if axis is None or scale.ndim != v.ndim or not scale.numel() == scale.shape[axis] == v.shape[axis]:
        return None
    if v.is_contiguous():
        return Layout(prod(v.shape[:axis]), v.shape[axis], prod(v.shape[axis + 1 :]))
    return Layout(1, len(v), v[0].numel()) if axis == 0 and _is_dense(v) else None


def dense(v: Tensor) -> Tensor:
    """Return `v`, copied if its values do not fill its memory in an order that kernels take."""
    return v if _is_dense(v) else v.contiguous()


def alike(v: Tensor, *others: Tensor) -> bool:
    """Return whether all are float32 and lie in memory as `v` does, so that kernels may write to them."""
    return all(t.dtype == torch.float32 and t.stride() == v.stride() for t in (v, *others))


def laid_out_as(v: Tensor, other: Tensor) -> Tensor:
    """Return `v` with the strides and the dtype of `other`, itself if it has them."""
    if v.stride() == other.stride() and v.dtype == other.dtype:
        return v
    return torch.empty_like(other).copy_(v)


def _is_dense(v: Tensor) -> bool:
    return v.is_contiguous() or (v.ndim == 4 and v.is_contiguous(memory_format=torch.channels_last))
