"""What segmentation networks share: logits at the size of images, and heads that only training runs."""

from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

Heads = tuple[tuple[float, Tensor], ...]


def resized(logits: Tensor, images: Tensor, *, align_corners: bool = False) -> Tensor:
    """Return logits (B, C, h, w) at the size of the images (B, 3, H, W), bilinearly."""
    return F.interpolate(logits, size=images.shape[2:], mode="bilinear", align_corners=align_corners)


def training_only(head: Any) -> nn.Module:
    """Mark a head as one that inference never runs, so that its layers get no quantizers."""
    head.training_only = True
    marked: nn.Module = head
    return marked


def registered_last_(parent: nn.Module, name: str) -> None:
    """Move a layer behind all others of its parent, as the last one registered counts as the classifier."""
    layer = getattr(parent, name)
    delattr(parent, name)
    setattr(parent, name, layer)
