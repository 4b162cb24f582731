"""Bootstraps over seeds and images: an interval for a mean that was taken over both.

Crossed where every seed saw the same images, nested where each seed has images of its own.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

BLOCK = 32  # draws at once: one product of matrices for all of them


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
    checked = [_checked(contributions, draws, level) for contributions in statistics]
    shapes = [[pool.shape for pool in pools] for pools in checked]
    if any(shape != shapes[0] for shape in shapes):
        raise ValueError(f"expected the same seeds and images in every statistic, got {shapes}")
    seeds, sizes = shapes[0][0][0], [images for _, images in shapes[0]]
    stacked = [np.concatenate(pools) for pools in zip(*checked, strict=True)]  # (statistics * seeds, images)
    rng = np.random.Generator(np.random.PCG64(seed))
    resampled = np.zeros((draws, len(checked)))
    for first in range(0, draws, BLOCK):
        block = resampled[first : first + BLOCK]  # a view
        drawn = [(times_drawn(rng, seeds), [times_drawn(rng, images) for images in sizes]) for _ in block]
        shares = np.stack([counts for counts, _ in drawn]) / seeds
        for place, (pool, images) in enumerate(zip(stacked, sizes, strict=True)):
            weights = np.stack([counts[place] for _, counts in drawn]) / images
            by_seed = (weights @ pool.T).reshape(len(block), len(checked), seeds)
            block += np.einsum("dks,ds->dk", by_seed, shares)
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
    pools = _checked(contributions, draws, level)
    seeds = len(pools[0])
    rows = [[np.unique(pool[s], return_counts=True) for pool in pools] for s in range(seeds)]
    rng = np.random.Generator(np.random.PCG64(seed))
    resampled = np.empty(draws)
    for draw in range(draws):
        chosen = rng.integers(seeds, size=seeds)
        resampled[draw] = sum(resampled_mean(rng, *row) for s in chosen for row in rows[s]) / seeds
    return _interval(pools, resampled, level)


def checked_draws(draws: int, level: float) -> None:
    """Raise ValueError unless an interval can be made of so many draws."""
    if draws < 2 or not 0 < level < 1:
        raise ValueError(f"expected draws >= 2 and a level between 0 and 1, got {draws} and {level}")


def interval(
    value: float, resampled: NDArray[np.float64], level: float, *, seeds: int, images: int
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
        seeds=seeds,
        images=images,
    )


def resampled_mean(rng: np.random.Generator, values: NDArray[np.float64], counts: NDArray[np.int64]) -> Any:
    """The mean of as many values, or rows of values, drawn with replacement as there are."""
    n = int(counts.sum())
    return rng.multinomial(n, counts / n) @ values / n


def times_drawn(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    """How often each of n things comes up in n draws with replacement."""
    return np.bincount(rng.integers(n, size=n), minlength=n).astype(np.float64)


def _checked(contributions: Sequence[NDArray[Any]], draws: int, level: float) -> list[NDArray[np.float64]]:
    checked_draws(draws, level)
    pools = [np.ascontiguousarray(pool, dtype=np.float64) for pool in contributions]
    if not pools or any(pool.ndim != 2 or pool.size == 0 for pool in pools):
        raise ValueError(f"expected matrices (seeds, images), got shapes {[pool.shape for pool in pools]}")
    if len({len(pool) for pool in pools}) > 1:
        raise ValueError(f"expected the same seeds in every pool, got {[len(pool) for pool in pools]}")
    return pools


def _interval(pools: list[NDArray[np.float64]], resampled: NDArray[np.float64], level: float) -> Interval:
    value = math.fsum(float(pool.mean()) for pool in pools)
    return interval(value, resampled, level, seeds=len(pools[0]), images=sum(p.shape[1] for p in pools))
