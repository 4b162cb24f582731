"""Errors of means over seeds and images, written out for one quantity with numpy and scipy alone."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import t


class ByHand(NamedTuple):
    value: float
    stderr: float
    quantile: float

    @property
    def low(self) -> float:
        return self.value - self.quantile * self.stderr

    @property
    def high(self) -> float:
        return self.value + self.quantile * self.stderr

    @property
    def share(self) -> tuple[float, float]:
        """Both roots pi of (p - pi)^2 = c^2 pi (1 - pi) / n, in percent: Wilson's interval."""
        p, c = self.value / 100, self.quantile
        n = p * (1 - p) / (self.stderr / 100) ** 2
        low, high = sorted(100 * np.roots([1 + c**2 / n, -(2 * p + c**2 / n), p**2]).real)
        return float(low), float(high)


def by_hand(pools: Sequence[np.ndarray], *, nested: bool = False) -> ByHand:
    """Of contributions (seeds, images), one array for each group of images; the means of groups add up."""
    seeds = len(pools[0])
    of_seed = np.sum([pool.mean(axis=1) for pool in pools], axis=0)
    from_seeds = of_seed.var(ddof=1) / seeds if seeds > 1 else 0.0
    if nested and seeds > 1:  # the seeds cannot scatter less than their images make them
        from_seeds = max(from_seeds, sum((p.var(axis=1, ddof=1) / p.shape[1]).mean() for p in pools) / seeds)
    from_images = from_pairs = 0.0
    if not nested or seeds == 1:
        for pool in pools:
            n = pool.shape[1]
            rest = pool - pool.mean(axis=0) - pool.mean(axis=1)[:, None] + pool.mean()
            noise = (rest**2).sum() / max((seeds - 1) * (n - 1), 1)
            from_images += (pool.mean(axis=0).var(ddof=1) - noise / seeds) / n
            from_pairs += noise / n / seeds
    from_images = max(from_images, 0.0)
    lacking = 0.0 if nested else max(0.0, from_pairs - from_seeds - from_images)  # seeds may tie
    if seeds <= 3:
        from_seeds += lacking
    else:
        from_images += lacking
    share = from_seeds / (from_seeds + from_images)
    of_images = t.ppf(0.975, min(pool.shape[1] for pool in pools) - 1) ** 2
    of_seeds = t.ppf(0.975, seeds - 1) ** 2 if share else 0.0
    return ByHand(
        value=float(of_seed.mean()),
        stderr=float(np.sqrt(from_seeds + from_images)),
        quantile=float(np.sqrt(of_images + (of_seeds - of_images) * share**1.75)),
    )


def jackknife(images: np.ndarray, statistic: Callable[[np.ndarray], float]) -> np.ndarray:
    """Values (n,) whose mean is the statistic of all images: each image left out in turn."""
    whole = statistic(images)
    left_out = np.array([statistic(np.delete(images, i, axis=0)) for i in range(len(images))])
    values: np.ndarray = whole + (len(images) - 1) * (left_out.mean() - left_out)
    return values
