"""Images for the checks."""

import torch
from torch import Tensor

CLASSES = 4


def toy_images(count: int, size: int = 8) -> Tensor:
    """Return `count` random images (count, 3, size, size), the same ones at every call."""
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(1))
