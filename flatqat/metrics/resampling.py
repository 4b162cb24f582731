"""How the bootstraps draw seeds and images, whatever is computed of a draw."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

BLOCK = 32  # draws at once: one product of matrices for all of them

Distinct = tuple[NDArray[np.float64], NDArray[np.int64]]
"""The values that a pool has, or rows of values, and how often"""


def crossed_draws(
    pools: Sequence[NDArray[Any]], draws: int, seed: int
) -> Iterator[tuple[slice, NDArray[np.float64], list[NDArray[np.float64]]]]:
    """Draws of seeds and images, 32 at a time: which ones, and how often each was drawn.

    Shapes (32, S), as a share of S, and (32, N_p) for each pool.
    """
    sizes = [len(pools[0]), *(pool.shape[1] for pool in pools)]
    rng = np.random.Generator(np.random.PCG64(seed))
    for first in range(0, draws, BLOCK):
        block = slice(first, min(first + BLOCK, draws))
        drawn = [[_times_drawn(rng, n) for n in sizes] for _ in range(block.start, block.stop)]
        by_seed, *by_image = (np.stack(counts) for counts in zip(*drawn, strict=True))
        yield block, by_seed / sizes[0], by_image


def nested_draws(distinct: Sequence[Sequence[Distinct]], draws: int, seed: int) -> Iterator[list[list[Any]]]:
    """For each draw, and each of the seeds drawn, the mean over the images drawn of every pool.

    `distinct` has for each seed and pool the values there are, or rows of values, and how often.
    """
    seeds = len(distinct)
    rng = np.random.Generator(np.random.PCG64(seed))
    for _ in range(draws):
        yield [[_resampled_mean(rng, *pool) for pool in distinct[s]] for s in rng.integers(seeds, size=seeds)]


def checked_pools(
    pools: Sequence[NDArray[Any]], axes: tuple[str, ...], draws: int, level: float
) -> list[NDArray[np.float64]]:
    """The pools in float64; raises ValueError unless they have these axes, and an interval can be made."""
    if draws < 2 or not 0 < level < 1:
        raise ValueError(f"expected draws >= 2 and a level between 0 and 1, got {draws} and {level}")
    found = [np.ascontiguousarray(pool, dtype=np.float64) for pool in pools]
    if not found or any(pool.ndim != len(axes) or pool.size == 0 for pool in found):
        raise ValueError(f"expected pools ({', '.join(axes)}), got shapes {[pool.shape for pool in found]}")
    if len({len(pool) for pool in found}) > 1:
        raise ValueError(f"expected the same seeds in every pool, got {[len(pool) for pool in found]}")
    return found


def _times_drawn(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    """How often each of n things comes up in n draws with replacement."""
    return np.bincount(rng.integers(n, size=n), minlength=n).astype(np.float64)


def _resampled_mean(rng: np.random.Generator, values: NDArray[np.float64], counts: NDArray[np.int64]) -> Any:
    """The mean of as many values, or rows of values, drawn with replacement as there are."""
    n = int(counts.sum())
    return rng.multinomial(n, counts / n) @ values / n
