"""Top-1 accuracy, negative log-likelihood and calibration error of one model on one shift."""

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flatqat.metrics.influence import standard_error
from flatqat.metrics.outcomes import Outcomes
from flatqat.spec import Score

ECE_BINS = 15


class ClassificationMeter:
    """Collects per-image results on the model's device, and reduces them once, in float64, at the end.

    So the batches into which the images were split do not matter. A class masked by a logit of -inf is
    never predicted. With `only`, all classes but those are masked so before anything else is computed, and
    `top1_unmasked` holds the top-1 among all classes: the two conventions for sets of fewer classes than the
    model knows (ImageNet-R, ImageNet-A). `top1` is in percent with its binomial standard error, `nll` in
    nats with the standard error of a mean, `ece` in percent without one. `nll` and `ece` are None where
    logits that are not finite leave them undefined; in `top1` an image with a NaN among its logits counts as
    wrong.
    """

    def __init__(self, classes: int, class_subset: tuple[int, ...] | None = None) -> None:
        self.classes, self.only = classes, class_subset
        self._columns: list[tuple[Tensor, ...]] = []

    def add(self, logits: Tensor, labels: Tensor) -> None:
        """Take logits (B, classes) of any float type, computed on as float32, and int64 labels (B,)."""
        if logits.shape != (len(labels), self.classes):
            raise ValueError(
                f"expected logits of shape {(len(labels), self.classes)}, got {tuple(logits.shape)}"
            )
        logits, labels = logits.detach().float(), labels.to(logits.device)
        unmasked = logits.argmax(1).masked_fill(logits.isnan().any(1), self.classes)
        if self.only is not None:
            kept = torch.tensor(self.only, device=logits.device)
            logits = torch.full_like(logits, -torch.inf).index_copy_(1, kept, logits[:, kept])
        true = labels[:, None]
        own = logits.gather(1, true).squeeze(1)
        rival = logits.scatter(1, true, -torch.inf).amax(1)
        pred = logits.argmax(1).masked_fill(logits.isnan().any(1), self.classes)
        log_p = logits.log_softmax(1)
        nll, confidence = -log_p.gather(1, true).squeeze(1), log_p.amax(1).exp()
        self._columns.append((labels, pred, own - rival, nll, confidence, unmasked))

    def result(self) -> tuple[dict[str, Score], Outcomes]:
        """The scores over all images, and the outcome of each in the order of adding."""
        if not self._columns:
            raise ValueError("expected images, got none")
        columns = (torch.cat(column).cpu().numpy() for column in zip(*self._columns, strict=True))
        labels, pred, margin, nll, confidence, unmasked = columns
        outcomes = Outcomes.pack(pred, margin, labels, classes=self.classes)
        n = len(outcomes)
        scores = {
            "top1": _top1(outcomes.correct),
            "nll": _mean(nll.astype(np.float64)),
            "ece": Score(value=_percent(expected_calibration_error(confidence, outcomes.correct)), n=n),
        }
        if self.only is not None:
            scores["top1_unmasked"] = _top1(unmasked == labels)
        return scores, outcomes


def expected_calibration_error(
    confidence: NDArray[Any], correct: NDArray[np.bool_], *, bins: int = ECE_BINS
) -> float:
    """ECE = sum_b |sum_{i in b} (correct_i - confidence_i)| / n, a fraction (Guo et al. 2017, eq. 3).

    Bins of equal width, (b/bins, (b+1)/bins], of the confidence: the probability of the predicted class,
    shape (n,). A NaN among them makes the result NaN. Tools that close the bins on the left instead, such
    as torchmetrics, hold a confidence of exactly 1 in a bin of its own and give a little more or less.
    """
    confidence = confidence.astype(np.float64)
    inner_edges = np.arange(1, bins) / bins
    of_bin = np.searchsorted(inner_edges, confidence, side="left")
    gaps = np.bincount(of_bin, weights=correct - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(confidence))


def _top1(correct: NDArray[np.bool_]) -> Score:
    p, n = float(correct.mean()), len(correct)
    return Score(value=100 * p, n=n, stderr=100 * math.sqrt(p * (1 - p) / n))


def _mean(values: NDArray[np.float64]) -> Score:
    n = len(values)
    if not np.isfinite(values).all():
        return Score(value=None, n=n)
    return Score(value=float(values.mean()), n=n, stderr=standard_error(values))


def _percent(fraction: float) -> float | None:
    return 100 * fraction if math.isfinite(fraction) else None
