"""Bootstraps over seeds and images for what is no mean over images, but a function of mean counts.

The same draws as those of `bootstrap`, whose statistics are linear, for the same seed of the generator.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flatqat.metrics.bootstrap import Interval, checked_draws, interval, resampled_mean, times_drawn

Statistic = Callable[[Sequence[NDArray[np.float64]]], NDArray[np.float64]]
"""The mean counts of each pool, shapes (..., K_p), to a value, shape (...)"""

BLOCK = 64


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
    found = _checked(pools, draws, level)
    seeds = len(found[0])
    # one row an image, so that a block of draws is one product of matrices
    rows = [np.ascontiguousarray(pool.swapaxes(0, 1).reshape(pool.shape[1], -1)) for pool in found]
    rng = np.random.Generator(np.random.PCG64(seed))
    resampled = np.empty(draws)
    for start in range(0, draws, BLOCK):
        block = range(start, min(start + BLOCK, draws))
        drawn = [[times_drawn(rng, n) for n in (seeds, *map(len, rows))] for _ in block]
        share, *weights = (np.stack(part) for part in zip(*drawn, strict=True))
        means = [
            (weight @ row / len(row)).reshape(len(block), seeds, -1)
            for weight, row in zip(weights, rows, strict=True)
        ]
        resampled[start : block.stop] = (share / seeds * statistic(means)).sum(axis=1)
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
    found = _checked(pools, draws, level)
    seeds = len(found[0])
    rows = [[np.unique(pool[s], axis=0, return_counts=True) for pool in found] for s in range(seeds)]
    rng = np.random.Generator(np.random.PCG64(seed))
    resampled = np.empty(draws)
    for draw in range(draws):
        values = [
            statistic([resampled_mean(rng, *row) for row in rows[s]]) for s in rng.integers(seeds, size=seeds)
        ]
        resampled[draw] = np.mean(values)
    return _interval(statistic, found, resampled, level)


def _checked(pools: Sequence[NDArray[Any]], draws: int, level: float) -> list[NDArray[np.float64]]:
    checked_draws(draws, level)
    found = [np.asarray(pool, dtype=np.float64) for pool in pools]
    if not found or any(pool.ndim != 3 or pool.size == 0 for pool in found):
        raise ValueError(f"expected counts (seeds, images, K), got shapes {[pool.shape for pool in found]}")
    if len({len(pool) for pool in found}) > 1:
        raise ValueError(f"expected the same seeds in every pool, got {[len(pool) for pool in found]}")
    return found


def _interval(
    statistic: Statistic, pools: list[NDArray[np.float64]], resampled: NDArray[np.float64], level: float
) -> Interval:
    value = float(statistic([pool.mean(axis=1) for pool in pools]).mean())
    return interval(value, resampled, level, seeds=len(pools[0]), images=sum(p.shape[1] for p in pools))
