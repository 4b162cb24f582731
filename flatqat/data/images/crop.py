"""Random crops and flips of a whole batch at once.

Each image is padded with zeros, a window of the original size is cut at a random place, and half of the
images are mirrored. Source: He et al. 2016, section 4.2 (4 pixels of padding).
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Generator, Tensor


def crop(x: "Tensor", generator: "Generator", *, padding: int, flip: bool) -> "Tensor":
    """Return images of the same shape, shifted by up to `padding` pixels and mirrored at random.

    Args:
        x: Images (B, 3, H, W).
        generator: A CPU generator, so that every device gets the same windows.
        padding: Pixels of zeros on each side.
        flip: Whether to mirror half of the images.
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
