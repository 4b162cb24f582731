"""The task losses: what is trained, and what flatness is measured of. Computed in float32 at least."""

from typing import Any, Literal, Protocol

from torch import Tensor
from torch.nn import functional as F

from flatqat.spec import IGNORED

Reduction = Literal["mean", "sum"]


class Loss(Protocol):
    """Of what a model gives and the labels, a mean or a sum."""

    def __call__(self, output: Any, labels: Tensor, /, reduction: Reduction = "mean") -> Tensor: ...


def cross_entropy(logits: Tensor, labels: Tensor, reduction: Reduction = "mean") -> Tensor:
    """Over images, −log softmax(logits)_label: logits (B, classes), labels (B,)."""
    return F.cross_entropy(_single(logits), labels, reduction=reduction)


def pixel_cross_entropy(
    output: Tensor | tuple[tuple[float, Tensor], ...], masks: Tensor, reduction: Reduction = "mean"
) -> Tensor:
    """Over labelled pixels: logits (B, classes, H, W), label maps (B, H, W), 255 where there is no label.

    Of several heads, pairs of a weight and logits, the weighted sum (Zhao et al. 2017, arXiv 1612.01105,
    section 3.3). Zero where no pixel is labelled.
    """
    heads = ((1.0, output),) if isinstance(output, Tensor) else output
    losses = [
        weight * F.cross_entropy(_single(logits), masks, ignore_index=IGNORED, reduction="sum")
        for weight, logits in heads
    ]
    total: Tensor = sum(losses[1:], losses[0])
    return total if reduction == "sum" else total / (masks != IGNORED).sum().clamp_min(1)


def labelled(y: Tensor) -> int:
    """How many images of labels (B,), or pixels of label maps (B, H, W), a mean is taken over."""
    return len(y) if y.ndim == 1 else int((y != IGNORED).sum())


def _single(logits: Tensor) -> Tensor:
    """In float32 what autocast left in bfloat16."""
    return logits.float() if logits.dtype.itemsize < 4 else logits
