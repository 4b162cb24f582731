"""Random crops and flips of a whole batch at once.

Each image is padded with zeros, a window of the old size is cut out at a random place, and half of the
images are mirrored. Source: He et al. 2016, section 4.2 (4 pixels of padding).
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Generator, Tensor


def crop(x: "Tensor", generator: "Generator", *, padding: int, flip: bool) -> "Tensor":
    """Images (B, 3, H, W) to images of the same shape, moved by up to `padding` pixels.

    `generator` is of the CPU: the same one gives the same windows on every device.
    """
    import torch
    from torch.nn import functional as F

    batch, channels, height, width = x.shape
    top = torch.randint(2 * padding + 1, (batch, 1), generator=generator)
    left = torch.randint(2 * padding + 1, (batch, 1), generator=generator)
    rows, columns = top + torch.arange(height), left + torch.arange(width)
    if flip:
        mirrored = torch.rand(batch, 1, generator=generator) < 0.5
        columns = torch.where(mirrored, columns.flip(1), columns)
    padded = F.pad(x, (padding, padding, padding, padding))
    return padded[
        torch.arange(batch, device=x.device)[:, None, None, None],
        torch.arange(channels, device=x.device)[None, :, None, None],
        rows.to(x.device)[:, None, :, None],
        columns.to(x.device)[:, None, None, :],
    ]
