"""Bootstraps over seeds and images: an interval for a mean that was taken over both.

Crossed where every seed saw the same images, nested where each seed has images of its own.
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

    `stderr` is the standard deviation of the draws. With `seeds=1` only images were resampled: the interval
    speaks of this one training run.
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
    """The percentile interval of T = sum_p mean_{s,i} d_p[s, i].

    Each pool p of images gives one matrix d_p of shape (S, N_p): a row for each training seed, a column for
    each image. The pools are independent groups of images and share the seeds. A draw resamples the S seeds
    once for all pools, and the N_p images of each pool, with replacement:

        T* = sum_p 1/(S N_p) sum_s c_s sum_i w_p[i] d_p[s, i],    c, w_p: how often each was drawn

    So everything measured on one image, or by one seed, stays together (Owen 2007, "The pigeonhole
    bootstrap", Ann. Appl. Stat. 1(2)). Errs to the wide side by the part of the variance that belongs to
    (seed, image) pairs, which is counted up to three times, and to the narrow side by the part of the
    seeds, whose variance is counted (S - 1)/S times: with three seeds read the interval as a lower bound
    of the doubt about a fourth. Takes the memory of 32 extra rows for each pool; the same `seed` gives the
    same draws.
    """
    return paired_bootstraps([contributions], draws=draws, level=level, seed=seed)[0]


def paired_bootstraps(
    statistics: Sequence[Sequence[NDArray[Any]]], *, draws: int = 2000, level: float = 0.95, seed: int = 0
) -> list[Interval]:
    """`paired_bootstrap` of several statistics of the same seeds and pools, from the same draws."""
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
    """The percentile interval of T = sum_p mean_{s,i} d_p[s, i] where image i is another one for each seed s.

    Matrices as in `paired_bootstrap`. A draw takes S seeds with replacement, s_1 .. s_S, and for each of them
    the images of that seed with replacement, anew for every time that it was taken:

        T* = 1/S sum_j sum_p 1/N_p sum_i w_jp[i] d_p[s_j, i]

    Two-stage resampling (Davison & Hinkley 1997, section 3.8); with one seed over images alone. With m_s the
    mean of seed s summed over pools and e_s^2 the squared error of that over images, Var T* is
    (var_s m_s + mean_s e_s^2) / S, variances divided by their counts. So the variance of the seeds is
    counted (S - 1)/S times, as in the crossed bootstrap, and that of the images 2 - 1/S times. Images that
    several seeds share are drawn as if they were different ones.

    How often each distinct value comes up in N draws is multinomial, so that images need not be drawn one by
    one.
    """
    pools = checked_pools(contributions, MATRICES, draws, level)
    distinct = [[np.unique(pool[s], return_counts=True) for pool in pools] for s in range(len(pools[0]))]
    resampled = [sum(chain(*means)) / len(means) for means in nested_draws(distinct, draws, seed)]
    return _interval(pools, np.array(resampled), level)


def interval(
    value: float, resampled: NDArray[np.float64], level: float, pools: Sequence[NDArray[Any]]
) -> Interval:
    """The percentile interval of the draws around a value."""
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
