"""Bootstrap confidence intervals for means over seeds and images, and for functions of mean counts (mIoU).

Use the crossed bootstrap if all seeds were scored on the same images, and the nested one if every seed has
its own images. The same seed gives the same draws for means and for functions of counts.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flatqat.metrics.resampling import checked_pools, crossed_draws, nested_draws

MATRICES, COUNTS = ("seeds", "images"), ("seeds", "images", "K")
Floats = NDArray[np.float64]
Pools = Sequence[NDArray[Any]]
Statistic = Callable[[Sequence[Floats]], Floats]
"""Maps the mean counts of each pool, shapes (..., K_p), to values of shape (...)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A statistic and its bootstrap interval, in the unit of the contributions.

    `stderr` is the standard deviation of the draws. With `seeds=1` the interval is about one training run.
    """

    value: float
    low: float
    high: float
    stderr: float
    level: float
    draws: int
    seeds: int
    images: int


def paired_bootstrap(
    contributions: Pools, *, draws: int = 2000, level: float = 0.95, seed: int = 0
) -> Interval:
    """Return the percentile interval of T = sum_p mean_{s,i} d_p[s, i].

    Each pool p of images has a matrix d_p in `contributions`, of shape (S, N_p), with one row per training
    seed and one column per image. Pools are independent groups of images and share the seeds. Each draw
    resamples the S seeds once for all pools, and the N_p images of each pool, with replacement:

        T* = sum_p 1/(S N_p) sum_s c_s sum_i w_p[i] d_p[s, i],    c, w_p: how often each was drawn

    So all values of one image, and all values of one seed, are resampled together. The interval is too wide
    by the variance that belongs to (seed, image) pairs, which is counted up to three times. It is too narrow
    by that of the seeds, which is counted (S - 1)/S times: with three seeds, it is a lower bound of the
    uncertainty about a fourth seed. Memory: 32 extra rows per pool. Raises ValueError if the shapes do not
    fit together, or unless `draws` >= 2 and 0 < `level` < 1.

    Source: Owen 2007, "The pigeonhole bootstrap", Ann. Appl. Stat. 1(2).
    """
    return paired_bootstraps([contributions], draws=draws, level=level, seed=seed)[0]


def paired_bootstraps(
    statistics: Sequence[Pools], *, draws: int = 2000, level: float = 0.95, seed: int = 0
) -> list[Interval]:
    """Return `paired_bootstrap` of several statistics of the same seeds and pools, from the same draws."""
    checked = [checked_pools(pools, MATRICES, draws, level) for pools in statistics]
    shapes = [[pool.shape for pool in pools] for pools in checked]
    if any(shape != shapes[0] for shape in shapes):
        raise ValueError(f"expected the same seeds and images in every statistic, got {shapes}")
    stacked = [np.concatenate(pools) for pools in zip(*checked, strict=True)]  # (statistics * seeds, images)
    seeds = len(checked[0][0])
    resampled = np.zeros((draws, len(checked)))
    for block, shares, weights in crossed_draws(checked[0], draws, seed):
        for pool, weight in zip(stacked, weights, strict=True):
            by_seed = (weight / pool.shape[1] @ pool.T).reshape(len(weight), len(checked), seeds)
            resampled[block] += np.einsum("dks,ds->dk", by_seed, shares)
    pairs = zip(checked, resampled.T, strict=True)
    return [_interval(_value(pools), drawn, level, pools) for pools, drawn in pairs]


def nested_bootstrap(
    contributions: Pools, *, draws: int = 2000, level: float = 0.95, seed: int = 0
) -> Interval:
    """Return the percentile interval of T = sum_p mean_{s,i} d_p[s, i] if every seed has its own images.

    Arguments and errors are those of `paired_bootstrap`, but column i is a different image in every row. Each
    draw resamples S seeds with replacement, s_1 .. s_S, and then, again for every s_j, the images of that
    seed with replacement:

        T* = 1/S sum_j sum_p 1/N_p sum_i w_jp[i] d_p[s_j, i]

    With one seed, only images are resampled. Let m_s be the mean of seed s summed over pools, and e_s^2 its
    squared standard error over images. Then Var T* = (var_s m_s + mean_s e_s^2) / S, with variances divided
    by their counts. So the variance of the seeds is counted (S - 1)/S times, as in the crossed bootstrap, and
    that of the images 2 - 1/S times. Images that several seeds share are treated as different images.

    Source: Davison & Hinkley 1997, section 3.8 (two-stage resampling).
    """
    pools = checked_pools(contributions, MATRICES, draws, level)
    resampled = [sum(chain(*means)) / len(means) for means in nested_draws(pools, draws, seed)]
    return _interval(_value(pools), np.array(resampled), level, pools)


def paired_bootstrap_of(
    statistic: Statistic, pools: Pools, *, draws: int = 2000, level: float = 0.95, seed: int = 0
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
    # one row per image, so that a block of draws is one matrix product
    rows = [np.ascontiguousarray(pool.swapaxes(0, 1).reshape(pool.shape[1], -1)) for pool in checked]
    resampled = np.empty(draws)
    for block, shares, weights in crossed_draws(checked, draws, seed):
        shape = (*shares.shape, -1)
        means = [(weight @ row / len(row)).reshape(shape) for weight, row in zip(weights, rows, strict=True)]
        resampled[block] = (shares * statistic(means)).sum(axis=1)
    value = float(statistic([pool.mean(axis=1) for pool in checked]).mean())
    return _interval(value, resampled, level, checked)


def nested_bootstrap_of(
    statistic: Statistic, pools: Pools, *, draws: int = 2000, level: float = 0.95, seed: int = 0
) -> Interval:
    """Return the interval of `paired_bootstrap_of` if every seed has its own images.

    Seeds and images are drawn as in `nested_bootstrap`:

        T* = 1/S sum_j f({1/N_p sum_i w_jp[i] x_p[s_j, i]}_p)
    """
    checked = checked_pools(pools, COUNTS, draws, level)
    mean_counts = nested_draws(checked, draws, seed)
    resampled = [np.mean([statistic(means) for means in by_seed]) for by_seed in mean_counts]
    value = float(statistic([pool.mean(axis=1) for pool in checked]).mean())
    return _interval(value, np.array(resampled), level, checked)


def _value(pools: list[Floats]) -> float:
    return math.fsum(float(pool.mean()) for pool in pools)


def _interval(value: float, resampled: Floats, level: float, pools: list[Floats]) -> Interval:
    """Return `value` with the percentile interval of its `resampled` draws, shape (draws,)."""
    low, high = np.quantile(resampled, [(1 - level) / 2, (1 + level) / 2]).tolist()
    stderr, draws = float(resampled.std(ddof=1)), len(resampled)
    seeds, images = len(pools[0]), sum(pool.shape[1] for pool in pools)
    return Interval(
        value=value, low=low, high=high, stderr=stderr, level=level, draws=draws, seeds=seeds, images=images
    )
