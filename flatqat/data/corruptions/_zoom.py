"""Zooming into the middle of an image, at the same size."""

from math import ceil

import torch
from torch import Tensor


def zoom(x: Tensor, factor: float) -> Tensor:
    """The middle of float images (..., H, W), enlarged bilinearly to fill them.

    The crop is ceil(H / factor) pixels; its first and last pixels land on the first and last of the enlarged
    crop, which is then trimmed to H.
    """
    if factor == 1:
        return x
    for axis in (-2, -1):
        low, share = source(x.shape[axis], factor, x.device)
        share = share.unsqueeze(-1) if axis == -2 else share
        x = x.index_select(axis, low) * (1 - share) + x.index_select(axis, low + 1) * share
    return x


def source(size: int, factor: float, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
    """Where each output is read: the pixel below, int64 (size,), and the share of the next, float32."""
    crop = ceil(size / factor)
    enlarged = round(crop * factor)
    top, trim = (size - crop) // 2, (enlarged - size) // 2
    step = (crop - 1) / max(enlarged - 1, 1)
    at = top + (torch.arange(size, dtype=torch.float64, device=device) + trim) * step
    low = at.floor().clamp_(0, size - 2)
    return low.long(), (at - low).float()
