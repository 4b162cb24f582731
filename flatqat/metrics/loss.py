"""The losses of the tasks, which are minimized and whose flatness is measured; float32 or better."""

from typing import Any, Literal, Protocol

from torch import Tensor
from torch.nn import functional as F

from flatqat.spec import IGNORED

Reduction = Literal["mean", "sum"]


class Loss(Protocol):
    """Maps the output of a model and the labels to a scalar loss; the output may be in half precision."""

    def __call__(self, output: Any, labels: Tensor, /, reduction: Reduction = "mean") -> Tensor:
        """Return the mean, or the sum, over images or labeled pixels."""


def cross_entropy(logits: Tensor, labels: Tensor, reduction: Reduction = "mean") -> Tensor:
    """Return −log softmax(logits)_label over images, for logits (B, classes) and labels (B,)."""
    return F.cross_entropy(_at_least_float32(logits), labels, reduction=reduction)


def pixel_cross_entropy(
    output: Tensor | tuple[tuple[float, Tensor], ...], masks: Tensor, reduction: Reduction = "mean"
) -> Tensor:
    """Return −log softmax(logits)_label over labeled pixels; 0 if no pixel is labeled.

    The output is logits (B, classes, H, W), or a pair (weight, logits) for each head, whose losses are summed
    with these weights (Zhao et al. 2017, arXiv 1612.01105, section 3.3). Masks are (B, H, W), 255 where there
    is not a label.
    """
    heads = ((1.0, output),) if isinstance(output, Tensor) else output
    losses = [
        weight * F.cross_entropy(_at_least_float32(logits), masks, ignore_index=IGNORED, reduction="sum")
        for weight, logits in heads
    ]
    total: Tensor = sum(losses[1:], losses[0])
    return total if reduction == "sum" else total / (masks != IGNORED).sum().clamp_min(1)


def label_count(y: Tensor) -> int:
    """Return the number of images of labels (B,), or of labeled pixels of label maps (B, H, W)."""
    return len(y) if y.ndim == 1 else int((y != IGNORED).sum())


def _at_least_float32(logits: Tensor) -> Tensor:
    """Convert what autocast left in half precision."""
    return logits.float() if logits.dtype.itemsize < 4 else logits
