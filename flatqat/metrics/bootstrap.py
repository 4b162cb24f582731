"""Bootstrap confidence intervals for means over training seeds and images.

Use the crossed bootstrap if all seeds were scored on the same images, and the nested one if every seed has
its own images.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flatqat.metrics.resampling import checked_pools, crossed_draws, nested_draws

MATRICES = ("seeds", "images")


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A statistic and its bootstrap interval, in the unit of the contributions.

    `stderr` is the standard deviation of the draws. With `seeds=1` only images are resampled, so the interval
    is about this one training run.
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
    contributions: Sequence[NDArray[Any]], *, draws: int = 2000, level: float = 0.95, seed: int = 0
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
    statistics: Sequence[Sequence[NDArray[Any]]], *, draws: int = 2000, level: float = 0.95, seed: int = 0
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
    return [_interval(pools, resampled[:, place], level) for place, pools in enumerate(checked)]


def nested_bootstrap(
    contributions: Sequence[NDArray[Any]], *, draws: int = 2000, level: float = 0.95, seed: int = 0
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

    The counts of the distinct values among N draws are multinomial, so images are not drawn one by one.

    Source: Davison & Hinkley 1997, section 3.8 (two-stage resampling).
    """
    pools = checked_pools(contributions, MATRICES, draws, level)
    distinct = [[np.unique(pool[s], return_counts=True) for pool in pools] for s in range(len(pools[0]))]
    resampled = [sum(chain(*means)) / len(means) for means in nested_draws(distinct, draws, seed)]
    return _interval(pools, np.array(resampled), level)


def interval(
    value: float, resampled: NDArray[np.float64], level: float, pools: Sequence[NDArray[Any]]
) -> Interval:
    """Return `value` with the percentile interval of its `resampled` draws, shape (draws,)."""
    low, high = np.quantile(resampled, [(1 - level) / 2, (1 + level) / 2])
    return Interval(
        value=value,
        low=float(low),
        high=float(high),
        stderr=float(resampled.std(ddof=1)),
        level=level,
        draws=len(resampled),
        seeds=len(pools[0]),
        images=sum(pool.shape[1] for pool in pools),
    )


def _interval(pools: list[NDArray[np.float64]], resampled: NDArray[np.float64], level: float) -> Interval:
    return interval(math.fsum(float(pool.mean()) for pool in pools), resampled, level, pools)
