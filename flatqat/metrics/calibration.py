"""How far confidences are from accuracies."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

ECE_BINS = 15


def expected_calibration_error(
    confidence: NDArray[Any], correct: NDArray[np.bool_], *, bins: int = ECE_BINS
) -> float:
    """Return ECE = sum_b |sum_{i in b} (correct_i - confidence_i)| / n, a fraction (Guo et al. 2017, eq. 3).

    Bins have equal width, (b/bins, (b+1)/bins]. The result is NaN if a confidence is NaN. Bins closed on the
    left, as in torchmetrics, put a confidence of exactly 1 into a bin of its own, and their values differ
    slightly. Shapes (n,); the confidence is the probability of the predicted class.
    """
    confidence = confidence.astype(np.float64)
    bin_index = np.searchsorted(np.arange(1, bins) / bins, confidence, side="left")
    gaps = np.bincount(bin_index, weights=correct - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(confidence))
