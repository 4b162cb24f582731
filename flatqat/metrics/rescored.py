"""The scores of a shift that follow from the stored outcomes of its images alone.

Meters compute them from the same outcomes, so a stored score is that of these formulas. NLL and ECE do not
follow: they need logits.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flatqat.metrics.confusion import Confusions
from flatqat.metrics.influence import ratio, standard_error
from flatqat.metrics.miou import miou, pseudo_values
from flatqat.spec import Score


def top1(correct: NDArray[np.bool_]) -> Score:
    """Return the share of images (n,) that are right, in percent, with its binomial standard error."""
    p, n = float(correct.mean()), len(correct)
    return Score(value=100 * p, n=n, stderr=100 * math.sqrt(p * (1 - p) / n))


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


def ratio_score(numerators: NDArray[Any], denominators: NDArray[Any]) -> Score:
    """Return the ratio of sums over images, (n,) each, with its standard error; None if undefined."""
    if not np.isfinite(numerators).all():
        return Score(value=None, n=len(numerators))
    value, influence = ratio(numerators, denominators)
    return _score(float(value), influence)


def _score(value: float, influence: NDArray[np.float64]) -> Score:
    defined = value if math.isfinite(value) else None
    return Score(value=defined, n=len(influence), stderr=standard_error(influence))
