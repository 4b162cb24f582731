"""Variance components of means over training seeds and images, for several methods at once.

Every method m has contributions d[m, s, i] of seed s and image i, whose mean is what is reported of it. They
follow a random-effects model without replication, crossed if all seeds are scored on the same images:

    d[m, s, i] = mean_m + seed_ms + image_mi + pair_msi

so that the variance of a mean over S seeds and N images is seed^2/S + image^2/N + pair^2/(S N). The effects
of two methods are correlated, since they are trained and scored alike; all variances are kept as matrices
over methods, from which those of any difference follow.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flatqat.metrics.estimate import Estimate

Floats = NDArray[np.float64]
LEAST_P = 0.1  # of the hypothesis that all methods scatter alike, below which nothing is pooled
DRAWS = 4000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Components:
    """Means (M,) and the covariances over M methods, (M, M), that the variances of means come from.

    Attributes:
        means: The mean of each method.
        seed: Of the means of the seeds, with S - 1 degrees of freedom. It contains `pair`.
        image: Of the mean of means of images: image^2/N + pair^2/(S N), summed over independent pools.
        pair: Of a seed's mean, from (seed, image) pairs alone: pair^2/N. If every seed has images of its own,
            all that images do is in it.
        seeds: The number of seeds S.
        images: The number of images, over all pools.
        image_freedom: Degrees of freedom of `image`: those of the smallest pool.
        nested: Whether every seed has images of its own.
    """

    means: Floats
    seed: Floats
    image: Floats
    pair: Floats
    seeds: int
    images: int
    image_freedom: int
    nested: bool

    @classmethod
    def of(cls, pools: Sequence[NDArray[Any]], *, nested: bool = False) -> "Components":
        """Estimate the components from contributions, one array (methods, seeds, images) for each pool.

        Pools are independent groups of images, such as the image sets of a suite, and share the methods and
        the seeds; the means of the pools add up. `nested` says that image i is another one for every seed.
        Raises ValueError if the shapes do not fit together, or a pool has fewer than two images.
        """
        tables = [np.asarray(pool, dtype=np.float64) for pool in pools]
        if not tables or any(t.ndim != 3 or t.shape[2] < 2 or not t.size for t in tables):
            got = [t.shape for t in tables]
            raise ValueError(f"expected pools (methods, seeds, 2 or more images), got shapes {got}")
        if len({t.shape[:2] for t in tables}) > 1:
            got = [t.shape for t in tables]
            raise ValueError(f"expected the same methods and seeds in every pool, got shapes {got}")
        methods, seeds, _ = tables[0].shape
        nested = nested and seeds > 1
        image, pair = np.zeros((methods, methods)), np.zeros((methods, methods))
        for table in tables:
            of_image, of_pair = (_of_own_images if nested else _of_same_images)(table)
            image, pair = image + of_image, pair + of_pair
        by_seed = np.sum([table.mean(axis=2) for table in tables], axis=0)
        return cls(
            means=by_seed.mean(axis=1),
            seed=_products(by_seed) / max(seeds - 1, 1),
            image=image,
            pair=pair,
            seeds=seeds,
            images=sum(table.shape[2] for table in tables),
            image_freedom=min(table.shape[2] for table in tables) - 1,
            nested=nested,
        )

    def mean(self, method: int) -> Estimate:
        """Return the mean of one method."""
        return self._estimate(np.eye(len(self.means))[method], None)

    def difference(self, method: int, base: int, scatter: "Scatter | None" = None) -> Estimate:
        """Return the mean of a method minus that of another, with the `scatter` pooled over methods if given."""
        unit = np.eye(len(self.means))
        return self._estimate(unit[method] - unit[base], scatter)

    def _estimate(self, weights: Floats, scatter: "Scatter | None") -> Estimate:
        def of(covariances: Floats) -> float:
            return max(float(weights @ covariances @ weights), 0.0)

        pair, own = of(self.pair), scatter is None or not of(self.pair)
        seed = of(self.seed) if own or scatter is None else pair * scatter.ratio
        return Estimate(
            value=float(weights @ self.means),
            seed_variance=seed / self.seeds,
            image_variance=0.0 if self.nested else max(of(self.image) - pair / self.seeds, 0.0),
            seed_freedom=self.seeds - 1 if own or scatter is None else scatter.freedom,
            image_freedom=self.image_freedom,
            seeds=self.seeds,
            images=self.images,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Scatter:
    """The scatter of seeds pooled over methods, in units of what (seed, image) pairs alone would give.

    In these units it does not depend on how much a method differs from another. `freedom` is its degrees of
    freedom.
    """

    ratio: float
    freedom: int


def pooled_scatter(components: Components) -> Scatter | None:
    """Return the scatter of the differences between methods, or None if it may not or need not be pooled.

    With the M methods as rows and the S seeds as blocks of a randomized block design, the mean over all pairs
    of methods of the variance of their difference has (M - 1)(S - 1) degrees of freedom (Fisher 1935). It is
    not pooled if the p-value of `equal_scatter` is below 0.1, or if a pair of methods has the same outcomes.
    """
    ratios = _pair_ratios(components)
    if ratios is None or equal_scatter(components) < LEAST_P:
        return None
    methods = len(ratios)
    return Scatter(
        ratio=float(ratios.sum()) / (methods * (methods - 1)), freedom=(methods - 1) * (components.seeds - 1)
    )


def equal_scatter(components: Components) -> float:
    """Return the p-value of the hypothesis that the seeds of all methods scatter alike; 1 if untestable.

    The statistic is Cochran's: the largest share of one method in the scatter of the differences that it
    takes part in. Its distribution is simulated for normal seed effects, always from the same draws. With two
    methods nothing can be told apart.

    Source: Cochran 1941, Ann. Eugenics 11.
    """
    ratios = _pair_ratios(components)
    if ratios is None or not ratios.any():
        return 1.0
    share = float(ratios.sum(axis=0).max() / ratios.sum())
    return float((_shares(len(ratios), components.seeds) >= share - 1e-12).mean())


def _pair_ratios(components: Components) -> Floats | None:
    """Return seed / pair of the difference of any two methods, (M, M); None if there is nothing to pool."""
    if components.seeds < 2 or len(components.means) < 3:
        return None
    seed, pair = _of_pairs(components.seed), _of_pairs(components.pair)
    apart = ~np.eye(len(seed), dtype=bool)
    if not (pair[apart] > 0).all():
        return None
    return np.divide(seed, pair, out=np.zeros_like(seed), where=apart)


def _of_pairs(covariances: Floats) -> Floats:
    """Return the variances of all differences of two methods, (..., M, M), from covariances."""
    own = np.diagonal(covariances, axis1=-2, axis2=-1)
    return np.maximum(own[..., :, None] + own[..., None, :] - 2 * covariances, 0.0)


@cache
def _shares(methods: int, seeds: int) -> Floats:
    """Return draws of the statistic of `equal_scatter` if all methods scatter alike."""
    rng = np.random.Generator(np.random.PCG64(0))
    draws = rng.normal(size=(DRAWS, methods, seeds))
    draws -= draws.mean(axis=2, keepdims=True)
    by_method = _of_pairs(draws @ draws.swapaxes(1, 2)).sum(axis=1)
    shares: Floats = by_method.max(axis=1) / by_method.sum(axis=1)
    return shares


def _products(values: Floats) -> Floats:
    """Return the sums of products over the last axis, of rows that are centered first, (M, M)."""
    centered = values - values.mean(axis=-1, keepdims=True)
    return centered @ centered.T


def _of_same_images(table: Floats) -> tuple[Floats, Floats]:
    """Return `image` and `pair` of one pool (M, S, N) whose seeds have the same images."""
    methods, seeds, images = table.shape
    by_image = table.mean(axis=1)
    image = _products(by_image) / ((images - 1) * images)
    if seeds == 1:
        return image, np.zeros((methods, methods))
    rest = table - by_image[:, None]
    rest -= rest.mean(axis=2, keepdims=True)
    flat = rest.reshape(methods, -1)
    return image, flat @ flat.T / ((seeds - 1) * (images - 1) * images)


def _of_own_images(table: Floats) -> tuple[Floats, Floats]:
    """Return `image`, which is 0, and `pair` of one pool (M, S, N) whose seeds have images of their own."""
    methods, seeds, images = table.shape
    flat = (table - table.mean(axis=2, keepdims=True)).reshape(methods, -1)
    return np.zeros((methods, methods)), flat @ flat.T / (seeds * (images - 1) * images)
