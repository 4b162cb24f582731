"""Whether a file predicts what its cell predicts, counted batch by batch."""

import math

import torch
from torch import Tensor

from flatqat.metrics.grouped import Grouping, Groups
from flatqat.spec import IGNORED


class Agreement:
    """The predictions of a cell and of its file on one set, and the largest difference of their logits.

    A prediction is the class with the largest logit, of each image or of each labeled pixel; a NaN among the
    logits makes one that agrees with nothing but another NaN. With `class_subset` only those classes can be
    predicted, as in `ClassificationMeter`, and with `groups` one of them, as in `GroupedMeter`. Differences
    are over all logits of images or labeled pixels.

    Attributes:
        predictions: The number of predictions so far.
        equal: How many of them are the same.
        largest: The largest difference of a logit; infinite if one of the two is not finite alone.
    """

    def __init__(self, class_subset: tuple[int, ...] | None = None, groups: Groups | None = None) -> None:
        self.predictions, self.equal, self.largest = 0, 0, 0.0
        self._low, self._high = math.inf, -math.inf
        self._subset = None if class_subset is None else torch.tensor(class_subset)
        self._grouping = Grouping(groups) if groups else None

    def add(self, cell: Tensor, file: Tensor, labels: Tensor) -> None:
        """Add logits (B, classes) or (B, classes, H, W) of both, and labels (B,) or label maps (B, H, W)."""
        cell, file = (_by_prediction(_widened(logits), labels) for logits in (cell.detach(), file))
        if not len(cell):
            return
        self.predictions += len(cell)
        self.equal += int((self._predicted(cell) == self._predicted(file)).sum())
        same = (cell == file) | (cell.isnan() & file.isnan())
        differences = (cell - file).abs().nan_to_num(nan=math.inf, posinf=math.inf).masked_fill(same, 0.0)
        self.largest = max(self.largest, float(differences.max()))
        finite = cell[cell.isfinite()]
        if len(finite):
            self._low = min(self._low, float(finite.min()))
            self._high = max(self._high, float(finite.max()))

    @property
    def range(self) -> float:
        """The largest minus the smallest finite logit of the cell; 0 without any."""
        return max(self._high - self._low, 0.0)

    def with_others(self, other: "Agreement") -> "Agreement":
        """Return what both have counted together."""
        joint = Agreement()
        joint.predictions, joint.equal = self.predictions + other.predictions, self.equal + other.equal
        joint.largest = max(self.largest, other.largest)
        joint._low, joint._high = min(self._low, other._low), max(self._high, other._high)
        return joint

    def _predicted(self, logits: Tensor) -> Tensor:
        """Return the predicted class of each row of logits, -1 for none."""
        logits = self._grouping(logits) if self._grouping else logits
        logits = logits if self._subset is None else logits[:, self._subset]
        return logits.argmax(1).masked_fill(logits.isnan().any(1), -1)


def _by_prediction(logits: Tensor, labels: Tensor) -> Tensor:
    """Return logits with a row for each prediction: that of an image, or of a labeled pixel."""
    if labels.ndim == 1:
        return logits
    return logits.movedim(1, -1)[labels != IGNORED]


def _widened(logits: Tensor) -> Tensor:
    """Return logits in at least float32."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))
