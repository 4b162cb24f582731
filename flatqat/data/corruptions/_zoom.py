"""Zoom into the middle of an image, keeping its size."""

from math import ceil

import torch
from torch import Tensor
from torch.nn import functional as F


def zoom(x: Tensor, factor: float) -> Tensor:
    """Enlarge the middle of float32 images (B, C, H, W) bilinearly to fill them.

    The crop is ceil(H / factor) pixels; its first and last pixels land on the first and last of the enlarged
    crop, which is then trimmed to H. All of it is as the original calls scipy.ndimage.zoom.
    """
    if factor == 1:
        return x
    crop = [ceil(size / factor) for size in x.shape[2:]]
    top, left = ((size - c) // 2 for size, c in zip(x.shape[2:], crop, strict=True))
    middle = x[:, :, top : top + crop[0], left : left + crop[1]].contiguous(memory_format=torch.channels_last)
    large = F.interpolate(middle, size=[round(c * factor) for c in crop], mode="bilinear", align_corners=True)
    top, left = ((n - size) // 2 for n, size in zip(large.shape[2:], x.shape[2:], strict=True))
    return large[:, :, top : top + x.shape[2], left : left + x.shape[3]]
