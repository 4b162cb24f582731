"""The crossed bootstrap over seeds and images: an interval for a mean that was taken over both."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


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
    of the doubt about a fourth. Takes the memory of one extra row for each pool; the same `seed` gives the
    same draws.
    """
    if draws < 2 or not 0 < level < 1:
        raise ValueError(f"expected draws >= 2 and a level between 0 and 1, got {draws} and {level}")
    pools = [np.ascontiguousarray(pool, dtype=np.float64) for pool in contributions]
    if not pools or any(pool.ndim != 2 or pool.size == 0 for pool in pools):
        raise ValueError(f"expected matrices (seeds, images), got shapes {[pool.shape for pool in pools]}")
    if len({len(pool) for pool in pools}) > 1:
        raise ValueError(f"expected the same seeds in every pool, got {[len(pool) for pool in pools]}")
    seeds = len(pools[0])
    rng = np.random.Generator(np.random.PCG64(seed))
    resampled = np.empty(draws)
    for draw in range(draws):
        seed_share = _counts(rng, seeds) / seeds
        resampled[draw] = sum(
            seed_share @ (pool @ _counts(rng, pool.shape[1])) / pool.shape[1] for pool in pools
        )
    low, high = np.quantile(resampled, [(1 - level) / 2, (1 + level) / 2])
    return Interval(
        value=math.fsum(float(pool.mean()) for pool in pools),
        low=float(low),
        high=float(high),
        stderr=float(resampled.std(ddof=1)),
        level=level,
        draws=draws,
        seeds=seeds,
        images=sum(pool.shape[1] for pool in pools),
    )


def _counts(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    """How often each of n things comes up in n draws with replacement."""
    return np.bincount(rng.integers(n, size=n), minlength=n).astype(np.float64)
