"""Significance tests for the difference between two runs, in percentage points."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A difference and its standard error in percentage points; `p` is the two-sided p-value of `test`."""

    points: float
    stderr: float
    p: float
    test: str


def paired_difference(a: NDArray[Any], b: NDArray[Any]) -> Difference:
    """Return the difference a - b of two runs on the same n >= 2 images, in the same order.

    Boolean arrays (correct or not) are compared by the exact McNemar test. Without a difference, the number
    of images that only a classifies correctly is Binomial(n_a + n_b, 1/2) among those on which the two
    disagree; p is twice the smaller tail (McNemar 1947). Real arrays (the accuracy of each image, 0 to 1,
    averaged over shifts) are compared by a paired t-test with n - 1 degrees of freedom. In both cases the
    standard error is sd(a - b) / sqrt(n), ddof=1. Raises ValueError if the arrays differ in shape.
    """
    if a.shape != b.shape or a.ndim != 1 or len(a) < 2:
        raise ValueError(f"expected two arrays of one length of at least 2, got {a.shape} and {b.shape}")
    binary = a.dtype == b.dtype == np.bool_
    d = a.astype(np.float64) - b.astype(np.float64)
    mean, stderr = float(d.mean()), float(d.std(ddof=1)) / math.sqrt(len(d))
    p = _mcnemar(int((d > 0).sum()), int((d < 0).sum())) if binary else _paired_t(mean, stderr, len(d))
    return Difference(points=100 * mean, stderr=100 * stderr, p=p, test="McNemar" if binary else "paired t")


def pooled_difference(pools: Sequence[NDArray[Any]]) -> Difference:
    """Return the z-test of D = sum_p mean_i d_p[i] against zero, for independent pools of images.

    d_p, shape (N_p,), is the share of each image in the difference: the sum over the shifts of the pool of
    weight × (correct now − correct before), as a fraction. Var D = sum_p var(d_p, ddof=1) / N_p, so the
    shifts of one image, which are not independent, count as one observation. Raises ValueError if there are
    no pools, or a pool has fewer than two images.
    """
    from scipy.special import ndtr

    if not pools or any(d.ndim != 1 or len(d) < 2 for d in pools):
        raise ValueError(f"expected pools of at least two images, got shapes {[d.shape for d in pools]}")
    mean = math.fsum(float(d.mean()) for d in pools)
    stderr = math.sqrt(math.fsum(float(d.var(ddof=1)) / len(d) for d in pools))
    p = 2 * float(ndtr(-abs(mean) / stderr)) if stderr else float(mean == 0)
    return Difference(points=100 * mean, stderr=100 * stderr, p=p, test="pooled z")


def holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm's adjusted p-values, in the given order, to compare with the level of the whole family.

    With p_(1) <= ... <= p_(m): adjusted_(k) = max_{j <= k} min(1, (m - j + 1) p_(j)) (Holm 1979).
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.maximum.accumulate(np.minimum(1, (len(p) - np.arange(len(p))) * p[order]))
    return [float(value) for value in adjusted]


def mean_over_seeds(values: Sequence[float]) -> tuple[float, float | None]:
    """Return the mean and its standard error, sd / sqrt(n) with ddof=1, which is None for a single seed."""
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
