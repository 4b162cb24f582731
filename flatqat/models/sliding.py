"""Inference with a sliding window: logits of overlapping windows are averaged.

Windows start at every stride; the last one of a row or column ends at the image's edge. So an image of the
window's size is seen once and completely. A window larger than the image is cropped to it. Source: the
`slide` mode of mmsegmentation, whose windows are the same.
"""

from collections.abc import Callable
from itertools import product

import torch
from torch import Tensor

from flatqat.spec import Window


def slide(net: Callable[[Tensor], Tensor], images: Tensor, window: Window) -> Tensor:
    """Map images (B, 3, H, W) to logits (B, classes, H, W); `net` returns logits of the size of its input."""
    height, width = images.shape[-2:]
    rows = spans(height, window.height, window.stride_height)
    columns = spans(width, window.width, window.stride_width)
    total: Tensor | None = None
    count = torch.zeros(height, width, device=images.device)
    for row, column in product(rows, columns):
        logits = net(images[..., row, column])
        if total is None:  # float32 even if autocast returned bfloat16
            dtype = torch.promote_types(logits.dtype, torch.float32)
            total = logits.new_zeros(*logits.shape[:2], height, width, dtype=dtype)
        total[..., row, column] += logits
        count[row, column] += 1
    assert total is not None
    return total / count


def spans(length: int, size: int, stride: int) -> list[slice]:
    """Return the windows along one side of the image."""
    last = max(0, length - size)
    starts = [*range(0, last, stride), last]
    return [slice(start, min(start + size, length)) for start in starts]
