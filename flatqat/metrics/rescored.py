"""The scores of a shift that follow from the stored outcomes of its images alone.

Meters compute them from the same outcomes, so a stored score is that of these formulas. Others do not follow:
NLL needs logits, and the ECE of pixels their confidences.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flatqat.metrics.calibration import expected_calibration_error
from flatqat.metrics.confusion import Confusions
from flatqat.metrics.influence import ratio, standard_error
from flatqat.metrics.miou import miou, pseudo_values
from flatqat.metrics.outcomes import is_right
from flatqat.spec import IGNORED, Score


def top1(correct: NDArray[np.bool_]) -> Score:
    """Return the share of images (n,) that are right, in percent, with its binomial standard error."""
    p, n = float(correct.mean()), len(correct)
    return Score(value=100 * p, n=n, stderr=100 * math.sqrt(p * (1 - p) / n))


def ece(confidence: NDArray[Any], correct: NDArray[np.bool_]) -> Score:
    """Return the expected calibration error of images (n,) in percent; None where a confidence is NaN."""
    value = 100 * expected_calibration_error(confidence, correct)
    return Score(value=value if math.isfinite(value) else None, n=len(correct))


def of_images(arrays: Mapping[str, Any]) -> dict[str, Score]:
    """Return `top1` and, where the confidences are stored, `ece`."""
    correct = is_right(arrays["margin"])
    of_confidence = {"ece": ece(arrays["confidence"], correct)} if "confidence" in arrays else {}
    return {"top1": top1(correct)} | of_confidence


def pixel_scores(outcomes: Confusions) -> dict[str, Score]:
    """Return `miou`, `pixel_accuracy` and `iou/<class>`; see `SegmentationMeter`."""
    counts = outcomes.counts
    intersection, union = counts[:, 0], counts[:, 1]
    labeled = outcomes.labeled_by_class.sum(axis=1)
    return {
        "miou": _score(100 * float(miou(counts.sum(axis=0))), 100 * pseudo_values(counts)),
        "pixel_accuracy": ratio_score(100 * intersection.sum(axis=1), labeled),
        **{f"iou/{k}": ratio_score(100 * intersection[:, k], union[:, k]) for k in range(counts.shape[2])},
    }


def share_right(labels: NDArray[Any], truth: NDArray[Any]) -> float | None:
    """Return how many of the labeled pixels of a label map are right, in percent; None without any."""
    labeled = truth != IGNORED
    return 100 * float((labels == truth)[labeled].mean()) if labeled.any() else None


def ratio_score(numerators: NDArray[Any], denominators: NDArray[Any]) -> Score:
    """Return the ratio of sums over images, (n,) each, with its standard error; None if undefined."""
    if not np.isfinite(numerators).all():
        return Score(value=None, n=len(numerators))
    value, influence = ratio(numerators, denominators)
    return _score(float(value), influence)


def _score(value: float, influence: NDArray[np.float64]) -> Score:
    defined = value if math.isfinite(value) else None
    return Score(value=defined, n=len(influence), stderr=standard_error(influence))
