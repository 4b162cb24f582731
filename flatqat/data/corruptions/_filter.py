"""Filters that use whole vectors: the channels of a batch, or all of its rows, are those of one image."""

import torch
from torch import Tensor
from torch.nn import functional as F

# Values that the widest vector units process at once.
_LANES = 16


def side_by_side(images: Tensor, *, mirrored: int = 0) -> Tensor:
    """Return all channels of images (B, C, H, W) as those of one image, float32 (1, n, H, W).

    n is padded to whole vectors, as a remainder would be computed by other instructions, which may round
    differently. With `mirrored`, images are that many pixels larger on each side, mirrored about edge pixels.
    """
    m, (height, width), planes = mirrored, images.shape[2:], images.flatten(0, 1)
    count = len(planes)
    x = torch.zeros(1, count - count % -_LANES, height + 2 * m, width + 2 * m, device=images.device)
    x[0, :count, m : m + height, m : m + width] = planes
    for i in range(1, m + 1):
        x[..., m - i], x[..., m + width - 1 + i] = x[..., m + i], x[..., m + width - 1 - i]
    for i in range(1, m + 1):
        x[..., m - i, :], x[..., m + height - 1 + i, :] = x[..., m + i, :], x[..., m + height - 1 - i, :]
    return x


def apart(x: Tensor, shape: torch.Size) -> Tensor:
    """Invert `side_by_side`: return (1, n, H, W) as images of `shape`."""
    return x[0, : shape[0] * shape[1]].reshape(*shape[:2], *x.shape[2:])


def rows_correlated(x: Tensor, weights: Tensor) -> Tensor:
    """Correlate the rows of (B, C, H, W) with weights (k,), without padding.

    Rows do not depend on each other, so the lanes of vectors are filled with rows, however few channels.
    """
    rows = x.reshape(-1, x.shape[3])
    missing = -len(rows) % _LANES
    lanes = (F.pad(rows, (0, 0, 0, missing)) if missing else rows).view(1, _LANES, -1, x.shape[3])
    filtered = correlated(lanes, weights[None]).flatten(0, 2)
    return filtered[: len(rows)].view(*x.shape[:3], -1)


def correlated(x: Tensor, kernel: Tensor) -> Tensor:
    """Correlate every channel of (1, n, H, W) with one kernel (h, w), without padding."""
    channels = x.shape[1]
    weights = kernel.to(x.device, torch.float32).expand(channels, 1, -1, -1).contiguous()
    return F.conv2d(x, weights, groups=channels)
