"""A ratio of two sums over images, and what each image does to it."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray


def ratio(
    numerators: NDArray[Any], denominators: NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """r = sum_i a_i / sum_i b_i over the first axis, and each image's influence n dr/dw_i on it.

    w_i is the weight of image i in both sums:

        influence_i = (a_i - r b_i) / mean(b)

    They sum to 0, and are the empirical influence values of the infinitesimal jackknife, or delta method
    (Davison & Hinkley 1997, section 2.7): a smooth function of ratios has as influence its derivative times
    theirs. Shapes (n, ...) in, (...) and (n, ...) out; NaN where the denominators sum to 0.
    """
    a, b = numerators.astype(np.float64), denominators.astype(np.float64)
    below = b.sum(axis=0)
    below = np.where(below == 0, np.nan, below)
    r = a.sum(axis=0) / below
    return r, (a - r * b) / (below / len(b))


def standard_error(values: NDArray[np.float64]) -> float | None:
    """sd / sqrt(n), ddof=1, of the values, or influences, of the images sampled; None for one, or a NaN."""
    n = len(values)
    spread = float(values.std(ddof=1)) / math.sqrt(n) if n > 1 else math.nan
    return spread if math.isfinite(spread) else None
