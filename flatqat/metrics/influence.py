"""Ratios of sums over images, with the influence of every image."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def ratio(numerators: NDArray[Any], denominators: NDArray[Any]) -> tuple[Floats, Floats]:
    """Return r = sum_i a_i / sum_i b_i over the first axis, and the influence n dr/dw_i of each image.

    w_i is the weight of image i in both sums:

        influence_i = (a_i - r b_i) / mean(b)

    These are the empirical influence values of the infinitesimal jackknife, or delta method (Davison &
    Hinkley 1997, section 2.7). They sum to 0. By the chain rule, the influence on a smooth function of ratios
    is its derivative times theirs. Shapes (n, ...) give (...) and (n, ...), NaN where denominators sum to 0.
    """
    a, b = numerators.astype(np.float64), denominators.astype(np.float64)
    denominator = np.where(b.sum(axis=0) == 0, np.nan, b.sum(axis=0))
    r = a.sum(axis=0) / denominator
    return r, (a - r * b) / (denominator / len(b))


def standard_error(values: Floats) -> float | None:
    """Return sd / sqrt(n), ddof=1, of values or influences (n,); None if n = 1 or one is not finite."""
    n = len(values)
    spread = float(values.std(ddof=1)) / math.sqrt(n) if n > 1 else math.nan
    return spread if math.isfinite(spread) else None
