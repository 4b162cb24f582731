"""Is the difference of two runs more than chance? Tests in percentage points, with their p-values."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """a - b in percentage points, its standard error, and the two-sided p-value of `test` against none."""

    points: float
    stderr: float
    p: float
    test: str


def paired_difference(a: NDArray[Any], b: NDArray[Any]) -> Difference:
    """Compare two runs on the same n >= 2 images, in the same order.

    Boolean arrays (right or wrong): exact McNemar. Of the images on which the two disagree, those that only
    a gets right are Binomial(n_a + n_b, 1/2) if there is no difference; p doubles the smaller tail (McNemar
    1947). Real arrays (each image's accuracy, 0 to 1, averaged over shifts): paired t-test with n - 1
    degrees of freedom. The standard error is sd(a - b) / sqrt(n), ddof=1, for both.
    """
    if a.shape != b.shape or a.ndim != 1 or len(a) < 2:
        raise ValueError(f"expected two arrays of one length of at least 2, got {a.shape} and {b.shape}")
    binary = a.dtype == b.dtype == np.bool_
    d = a.astype(np.float64) - b.astype(np.float64)
    mean, stderr = float(d.mean()), float(d.std(ddof=1)) / math.sqrt(len(d))
    p = _mcnemar(int((d > 0).sum()), int((d < 0).sum())) if binary else _paired_t(mean, stderr, len(d))
    return Difference(points=100 * mean, stderr=100 * stderr, p=p, test="McNemar" if binary else "paired t")


def unpaired_difference(value_a: float, n_a: int, value_b: float, n_b: int) -> Difference:
    """Compare two accuracies in percent, of n_a and n_b images, where per-image outcomes are missing.

    Two-proportion z-test: z = (p_a - p_b) / sqrt(p (1 - p) (1/n_a + 1/n_b)) with the pooled p. The standard
    error is the unpooled sqrt(p_a (1 - p_a) / n_a + p_b (1 - p_b) / n_b). Wider than a paired test wherever
    the two runs saw the same images.
    """
    from scipy.special import ndtr

    if min(n_a, n_b) < 1 or not all(0 <= value <= 100 for value in (value_a, value_b)):
        raise ValueError(f"expected percentages of images, got {value_a} of {n_a} and {value_b} of {n_b}")
    a, b = value_a / 100, value_b / 100
    pooled = (a * n_a + b * n_b) / (n_a + n_b)
    spread = math.sqrt(max(0.0, pooled * (1 - pooled)) * (1 / n_a + 1 / n_b))
    return Difference(
        points=value_a - value_b,
        stderr=100 * math.sqrt(a * (1 - a) / n_a + b * (1 - b) / n_b),
        p=2 * float(ndtr(-abs(a - b) / spread)) if spread else 1.0,
        test="two-proportion z",
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values, in the order given: reject where they are below the level of the family.

    With p_(1) <= ... <= p_(m): adjusted_(k) = max_{j <= k} min(1, (m - j + 1) p_(j)) (Holm 1979).
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    steps = np.minimum(1, (len(p) - np.arange(len(p))) * p[order])
    adjusted = np.empty_like(p)
    adjusted[order] = np.maximum.accumulate(steps)
    return [float(value) for value in adjusted]


def mean_over_seeds(values: Sequence[float]) -> tuple[float, float | None]:
    """(mean, standard error of the mean, sd with ddof=1 over sqrt(n)); no standard error for one seed."""
    n = len(values)
    mean = math.fsum(values) / n
    return mean, float(np.std(values, ddof=1)) / math.sqrt(n) if n > 1 else None


def _mcnemar(only_a: int, only_b: int) -> float:
    from scipy.special import bdtr

    return min(1.0, 2 * float(bdtr(min(only_a, only_b), only_a + only_b, 0.5)))


def _paired_t(mean: float, stderr: float, n: int) -> float:
    from scipy.special import stdtr

    if stderr == 0:
        return 1.0 if mean == 0 else 0.0
    return 2 * float(stdtr(n - 1, -abs(mean) / stderr))
