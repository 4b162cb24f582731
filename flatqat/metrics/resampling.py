"""Resampling of seeds and images, shared by all bootstraps."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

BLOCK = 32  # draws at once: one matrix product for all of them


def crossed_draws(
    pools: Sequence[NDArray[Any]], draws: int, seed: int
) -> Iterator[tuple[slice, NDArray[np.float64], list[NDArray[np.float64]]]]:
    """Yield draws of seeds and images for pools (S, N_p, ...), up to 32 at a time.

    Each item has the slice of draws; how often each seed was drawn, as a share of S, shape (32, S); and how
    often each image was drawn, shape (32, N_p) for each pool.
    """
    sizes = [len(pools[0]), *(pool.shape[1] for pool in pools)]
    rng = np.random.Generator(np.random.PCG64(seed))
    for first in range(0, draws, BLOCK):
        block = slice(first, min(first + BLOCK, draws))
        drawn = range(block.start, block.stop)
        counts = [[np.bincount(rng.integers(n, size=n), minlength=n) for n in sizes] for _ in drawn]
        by_seed, *by_image = (np.stack(column, dtype=np.float64) for column in zip(*counts, strict=True))
        yield block, by_seed / sizes[0], by_image


def nested_draws(pools: Sequence[NDArray[Any]], draws: int, seed: int) -> Iterator[list[list[Any]]]:
    """Yield, for each draw, the mean of every pool over its resampled images, for each resampled seed.

    Takes pools of values (S, N_p) or of rows of values (S, N_p, K_p). The counts of the distinct ones among N
    draws are multinomial, so images are not drawn one by one.
    """
    seeds, axis = len(pools[0]), None if pools[0].ndim == 2 else 0
    distinct = [[np.unique(pool[s], axis=axis, return_counts=True) for pool in pools] for s in range(seeds)]
    rng = np.random.Generator(np.random.PCG64(seed))
    for _ in range(draws):
        yield [[_resampled_mean(rng, *pool) for pool in distinct[s]] for s in rng.integers(seeds, size=seeds)]


def checked_pools(
    pools: Sequence[NDArray[Any]], axes: tuple[str, ...], draws: int, level: float
) -> list[NDArray[np.float64]]:
    """Return the pools in float64.

    Raises ValueError if a pool is empty or does not have the `axes`, if pools differ in the number of seeds,
    or if `draws` or `level` is out of range.
    """
    if draws < 2 or not 0 < level < 1:
        raise ValueError(f"expected draws >= 2 and a level between 0 and 1, got {draws} and {level}")
    checked = [np.ascontiguousarray(pool, dtype=np.float64) for pool in pools]
    if not checked or any(pool.ndim != len(axes) or pool.size == 0 for pool in checked):
        raise ValueError(f"expected pools ({', '.join(axes)}), got shapes {[pool.shape for pool in checked]}")
    if len({len(pool) for pool in checked}) > 1:
        raise ValueError(f"expected the same seeds in every pool, got {[len(pool) for pool in checked]}")
    return checked


def _resampled_mean(rng: np.random.Generator, values: NDArray[np.float64], counts: NDArray[np.int64]) -> Any:
    """Return the mean of a resample, with replacement and of the same size, of values or rows of values."""
    n = int(counts.sum())
    return rng.multinomial(n, counts / n) @ values / n
