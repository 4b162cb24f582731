"""Bootstraps over seeds and images for what is no mean over images, but a function of mean counts.

The same draws as those of `bootstrap`, whose statistics are linear, for the same seed of the generator.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flatqat.metrics.bootstrap import Interval, interval
from flatqat.metrics.resampling import checked_pools, crossed_draws, nested_draws

Statistic = Callable[[Sequence[NDArray[np.float64]]], NDArray[np.float64]]
"""The mean counts of each pool, shapes (..., K_p), to a value, shape (...)"""

COUNTS = ("seeds", "images", "K")


def paired_bootstrap_of(
    statistic: Statistic,
    pools: Sequence[NDArray[Any]],
    *,
    draws: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """The percentile interval of T = mean_s f(mean_i x_1[s, i], ..., mean_i x_P[s, i]).

    Each pool p of images gives counts x_p of shape (S, N_p, K_p): for each training seed and image the K_p
    numbers that f needs the means of. Seeds and images are drawn as in `paired_bootstrap`:

        T* = 1/S sum_s c_s f({1/N_p sum_i w_p[i] x_p[s, i]}_p),    c, w_p: how often each was drawn

    f is computed anew in each draw, so nothing is linearised. Its bias is that of any percentile interval:
    a draw has fewer different images than the sample. Counts are whole numbers, whose sums are exact.
    """
    found = checked_pools(pools, COUNTS, draws, level)
    seeds = len(found[0])
    # one row an image, so that a block of draws is one product of matrices
    rows = [np.ascontiguousarray(pool.swapaxes(0, 1).reshape(pool.shape[1], -1)) for pool in found]
    resampled = np.empty(draws)
    for block, shares, weights in crossed_draws(found, draws, seed):
        means = [
            (weight @ row / len(row)).reshape(len(weight), seeds, -1)
            for weight, row in zip(weights, rows, strict=True)
        ]
        resampled[block] = (shares * statistic(means)).sum(axis=1)
    return _interval(statistic, found, resampled, level)


def nested_bootstrap_of(
    statistic: Statistic,
    pools: Sequence[NDArray[Any]],
    *,
    draws: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """The same where image i is another one for each seed, drawn as in `nested_bootstrap`:

    T* = 1/S sum_j f({1/N_p sum_i w_jp[i] x_p[s_j, i]}_p)
    """
    found = checked_pools(pools, COUNTS, draws, level)
    distinct = [
        [np.unique(pool[s], axis=0, return_counts=True) for pool in found] for s in range(len(found[0]))
    ]
    drawn = nested_draws(distinct, draws, seed)
    resampled = [np.mean([statistic(means) for means in by_seed]) for by_seed in drawn]
    return _interval(statistic, found, np.array(resampled), level)


def _interval(
    statistic: Statistic, pools: list[NDArray[np.float64]], resampled: NDArray[np.float64], level: float
) -> Interval:
    value = float(statistic([pool.mean(axis=1) for pool in pools]).mean())
    return interval(value, resampled, level, pools)
