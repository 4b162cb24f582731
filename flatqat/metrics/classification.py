"""Top-1 accuracy, negative log-likelihood, Brier score and calibration error of one model on one shift."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flatqat.metrics.influence import standard_error
from flatqat.metrics.outcomes import Outcomes
from flatqat.metrics.rescored import ece, top1
from flatqat.spec import Score


class ClassificationMeter:
    """Collects per-image results on the model's device, and reduces them once, in float64, at the end.

    So the scores do not depend on the batch size. They are:

    - `top1`, in percent, with its binomial standard error. An image with a NaN among its logits is wrong.
    - `nll`, the mean negative log-likelihood in nats, with the standard error of a mean.
    - `brier`, the mean over images of Σ_k (p_k − y_k)², 0 to 2, with the standard error of a mean. Here p are
      the probabilities of all classes, and y is 1 for the true class (Brier 1950).
    - `ece`, the expected calibration error in percent, without a standard error.
    - `top1_unmasked`, only with a class subset.

    `nll`, `brier` and `ece` are None if logits that are not finite leave them undefined. A class whose logit
    is -inf is never predicted. With `class_subset`, all other classes are masked in this way first, and
    `top1_unmasked` is the top-1 among all classes: the two conventions for datasets with fewer classes than
    the model (ImageNet-R, ImageNet-A).
    """

    def __init__(self, classes: int, class_subset: tuple[int, ...] | None = None) -> None:
        self.classes, self.class_subset = classes, class_subset
        self._subset = torch.tensor(class_subset or (), dtype=torch.long)
        self._columns: list[tuple[Tensor, ...]] = []

    def add(self, logits: Tensor, labels: Tensor) -> None:
        """Add a batch of logits (B, classes) and int64 labels (B,).

        Logits of any float type are converted to float32. Raises ValueError on another shape.
        """
        if logits.shape != (len(labels), self.classes):
            shape = (len(labels), self.classes)
            raise ValueError(f"expected logits of shape {shape}, got {tuple(logits.shape)}")
        logits, labels = logits.detach().float(), labels.to(logits.device)
        unmasked = logits.argmax(1).masked_fill(logits.isnan().any(1), self.classes)
        if self.class_subset is not None:
            subset = self._subset = self._subset.to(logits.device)
            logits = torch.full_like(logits, -torch.inf).index_copy_(1, subset, logits[:, subset])
        true, log_p = labels[:, None], logits.log_softmax(1)
        margin = logits.gather(1, true).squeeze(1) - logits.scatter(1, true, -torch.inf).amax(1)
        pred = logits.argmax(1).masked_fill(logits.isnan().any(1), self.classes)
        nll, confidence = -log_p.gather(1, true).squeeze(1), log_p.amax(1).exp()
        brier = log_p.mul(2).exp().sum(1) - 2 * (-nll).exp() + 1
        self._columns.append((labels, pred, margin, nll, brier, confidence, unmasked))

    def result(self) -> tuple[dict[str, Score], Outcomes]:
        """Return the scores over all images, and the outcome of each image in the order of `add`.

        Raises ValueError if no images were added.
        """
        if not self._columns:
            raise ValueError("expected images, got none")
        columns = (torch.cat(column).cpu().numpy() for column in zip(*self._columns, strict=True))
        labels, pred, margin, nll, brier, confidence, unmasked = columns
        outcomes = Outcomes.pack(pred, margin, labels, confidence, classes=self.classes)
        scores = {
            "top1": top1(outcomes.correct),
            "nll": _mean(nll.astype(np.float64)),
            "brier": _mean(brier.astype(np.float64)),
            "ece": ece(outcomes.confidence, outcomes.correct),
        }
        if self.class_subset is not None:
            scores["top1_unmasked"] = top1(unmasked == labels)
        return scores, outcomes


def _mean(values: NDArray[np.float64]) -> Score:
    if not np.isfinite(values).all():
        return Score(value=None, n=len(values))
    return Score(value=float(values.mean()), n=len(values), stderr=standard_error(values))
