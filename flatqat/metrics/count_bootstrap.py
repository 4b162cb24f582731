"""Bootstrap confidence intervals for statistics that are functions of mean counts, such as mIoU.

The same seed gives the same draws as in `bootstrap`, whose statistics are means over images.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flatqat.metrics.bootstrap import Interval, interval
from flatqat.metrics.resampling import checked_pools, crossed_draws, nested_draws

Statistic = Callable[[Sequence[NDArray[np.float64]]], NDArray[np.float64]]
"""Maps the mean counts of each pool, shapes (..., K_p), to values of shape (...)."""

COUNTS = ("seeds", "images", "K")


def paired_bootstrap_of(
    statistic: Statistic,
    pools: Sequence[NDArray[Any]],
    *,
    draws: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Return the percentile interval of T = mean_s f(mean_i x_1[s, i], ..., mean_i x_P[s, i]).

    Each pool p of images has counts x_p of shape (S, N_p, K_p): the K_p numbers of each training seed and
    image whose means the `statistic` f needs. Seeds and images are drawn as in `paired_bootstrap`:

        T* = 1/S sum_s c_s f({1/N_p sum_i w_p[i] x_p[s, i]}_p),    c, w_p: how often each was drawn

    f is evaluated in each draw, so nothing is linearized. The bias is that of any percentile interval: a draw
    has fewer distinct images than the sample. Counts are integers, so their sums are exact. Raises ValueError
    as `paired_bootstrap` does.
    """
    checked = checked_pools(pools, COUNTS, draws, level)
    seeds = len(checked[0])
    # one row per image, so that a block of draws is one matrix product
    rows = [np.ascontiguousarray(pool.swapaxes(0, 1).reshape(pool.shape[1], -1)) for pool in checked]
    resampled = np.empty(draws)
    for block, shares, weights in crossed_draws(checked, draws, seed):
        means = [
            (weight @ row / len(row)).reshape(len(weight), seeds, -1)
            for weight, row in zip(weights, rows, strict=True)
        ]
        resampled[block] = (shares * statistic(means)).sum(axis=1)
    return _interval(statistic, checked, resampled, level)


def nested_bootstrap_of(
    statistic: Statistic,
    pools: Sequence[NDArray[Any]],
    *,
    draws: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Return the interval of `paired_bootstrap_of` if every seed has its own images.

    Seeds and images are drawn as in `nested_bootstrap`:

        T* = 1/S sum_j f({1/N_p sum_i w_jp[i] x_p[s_j, i]}_p)
    """
    checked = checked_pools(pools, COUNTS, draws, level)
    distinct = [
        [np.unique(pool[s], axis=0, return_counts=True) for pool in checked] for s in range(len(checked[0]))
    ]
    mean_counts = nested_draws(distinct, draws, seed)
    resampled = [np.mean([statistic(means) for means in by_seed]) for by_seed in mean_counts]
    return _interval(statistic, checked, np.array(resampled), level)


def _interval(
    statistic: Statistic, pools: list[NDArray[np.float64]], resampled: NDArray[np.float64], level: float
) -> Interval:
    value = float(statistic([pool.mean(axis=1) for pool in pools]).mean())
    return interval(value, resampled, level, pools)
