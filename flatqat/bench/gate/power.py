"""The power of a row of the gate: the true drop that it would find in four of five runs."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from flatqat.metrics.estimate import Estimate

POWER = 0.8
PRECISION = 1e-3  # of a drop, in points


def catches(
    estimate: Estimate,
    *,
    max_drop: float,
    level: float,
    score: float = 100.0,
    spread: float | None = None,
) -> float | None:
    """Return the true drop that trips the gate with a probability of 80%, or None if none of `score` does.

    A drop D trips surely if D > max(max_drop, c s), with its standard error s and the quantile c of `level`,
    which is p over the number of rows, the most that Holm's correction takes. D and s are drawn anew in every
    run, and a true drop of just `max_drop` is caught half the time at most. To the variance from images
    belongs what a drop of d points brings, since two runs with the same predictions say nothing of those that
    a change would flip. Without a `spread` right images turn wrong: the variance is the observed one, but no
    less than q (1 - q) / N for q = d / 100, and the smallest drop is that of one image. With one, each image
    loses a share of what it contributes, which adds d^2 `spread`.
    """
    if not level:
        return None
    drop, before = max(max_drop, 0.0 if spread is not None else 100 / estimate.images), -1.0
    while drop < score and drop - before > PRECISION:
        before, planted = drop, replace(estimate, image_variance=_of_images(estimate, drop, spread))
        drop = planted.detectable(level, POWER, least=max_drop)
    return drop if drop < score else None


def _of_images(estimate: Estimate, drop: float, spread: float | None) -> float:
    """Return the variance from images of a drop in points."""
    if spread is not None:
        return estimate.image_variance + drop**2 * spread
    q = drop / 100
    return max(estimate.image_variance, 100**2 * q * (1 - q) / estimate.images)


def spread_of_shares(pools: Sequence[NDArray[Any]]) -> float | None:
    """Return the variance from images of a drop of one point, where images lose shares of different size.

    An image i of pool p that contributes r_pi to the score m = sum_p mean_i r_pi loses the share a_i of that.
    The shares are independent with a standard deviation as large as their mean, as if they were exponential:
    some images lose nothing, and some thrice the mean. A drop of d points then has the variance

        d^2 / m^2  sum_p (2 mean_i r_pi^2 - (mean_i r_pi)^2) / N_p

    Each pool has contributions (runs, images), whose mean over runs is r. None if the score is 0.
    """
    rows = [pool.mean(axis=0) for pool in pools]
    score = sum(float(row.mean()) for row in rows)
    variance = sum(float(2 * (row**2).mean() - row.mean() ** 2) / len(row) for row in rows)
    return variance / score**2 if score else None
