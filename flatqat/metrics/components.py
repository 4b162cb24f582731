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
LEAST_P = 0.2  # that a method scatters like the others, below which it is judged by its own scatter
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

    def seed_sd(self, method: int) -> float | None:
        """Return the standard deviation of a method's means over seeds, or None with one seed."""
        return float(np.sqrt(self.seed[method, method])) if self.seeds > 1 else None

    def mean(self, method: int) -> Estimate:
        """Return the mean of one method."""
        return self._estimate(np.eye(len(self.means))[method], None)

    def difference(self, method: int, base: int, scatter: "Scatter | None" = None) -> Estimate:
        """Return the mean of a method minus that of another, by the pooled `scatter` where it fits."""
        unit = np.eye(len(self.means))
        return self._estimate(unit[method] - unit[base], scatter)

    def _estimate(self, weights: Floats, scatter: "Scatter | None") -> Estimate:
        def of(covariances: Floats) -> float:
            return max(float(weights @ covariances @ weights), 0.0)

        seed, pair, freedom = of(self.seed), of(self.pair), self.seeds - 1
        if scatter and pair and scatter.fits(seed / pair):
            seed, freedom = pair * scatter.ratio, scatter.freedom
        return Estimate(
            value=float(weights @ self.means),
            seed_variance=seed / self.seeds,
            image_variance=0.0 if self.nested else max(of(self.image) - pair / self.seeds, 0.0),
            seed_freedom=freedom,
            image_freedom=self.image_freedom,
            seeds=self.seeds,
            images=self.images,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Scatter:
    """The scatter of seeds in a difference of two methods, pooled over all pairs of `methods`.

    `ratio` is in units of what (seed, image) pairs alone would give, so that it does not depend on how much
    two methods differ. With the methods as rows and the seeds as blocks of a randomized block design, the
    mean over all pairs has (methods - 1)(seeds - 1) degrees of freedom (Fisher 1935).
    """

    ratio: float
    methods: int
    seeds: int

    @property
    def freedom(self) -> int:
        """The degrees of freedom of the ratio."""
        return (self.methods - 1) * (self.seeds - 1)

    def fits(self, own: float) -> bool:
        """Whether the ratio of one pair of methods is not too large for one that scatters like the others.

        It is too large if among methods that all scatter alike (normal effects of seeds, simulated) fewer
        than 20% of the pairs had one as large. The level is high since it protects from a noisy method: one
        of three times the scatter of nine others then has intervals that cover 90% to 93%, and 85% if it
        never stood alone. Where all scatter alike, the intervals cover 96%.
        """
        draws = _draws_of_a_pair(self.methods, self.seeds)
        return float((draws >= own / self.ratio).mean()) >= LEAST_P


def pooled_scatter(components: Components) -> Scatter | None:
    """Return the scatter pooled over all pairs of methods, or None unless three methods or more differ."""
    pair = _of_pairs(components.pair)
    copies = [m for m in range(len(pair)) if (pair[m, :m] == 0).any()]  # of another method, in all outcomes
    kept = [m for m in range(len(pair)) if m not in copies]
    if components.seeds < 2 or len(kept) < 3:
        return None
    apart = ~np.eye(len(kept), dtype=bool)
    block = np.ix_(kept, kept)
    ratios = _of_pairs(components.seed)[block][apart] / pair[block][apart]
    ratio = float(ratios.mean())
    return Scatter(ratio=ratio, methods=len(kept), seeds=components.seeds) if ratio else None


def _of_pairs(covariances: Floats) -> Floats:
    """Return the variances of all differences of two methods, (..., M, M), from covariances."""
    own = np.diagonal(covariances, axis1=-2, axis2=-1)
    return np.maximum(own[..., :, None] + own[..., None, :] - 2 * covariances, 0.0)


@cache
def _draws_of_a_pair(methods: int, seeds: int) -> Floats:
    """Return draws of one pair's variance over the mean of all pairs, where all methods scatter alike."""
    rng = np.random.Generator(np.random.PCG64(0))
    effects = rng.normal(size=(DRAWS, methods, seeds))
    effects -= effects.mean(axis=2, keepdims=True)
    pairs = _of_pairs(effects @ effects.swapaxes(1, 2))
    of_all: Floats = pairs.sum(axis=(1, 2)) / (methods * (methods - 1))
    of_one: Floats = pairs[:, 0, 1] / of_all
    return of_one


def _products(values: Floats) -> Floats:
    """Return the sums of products over the last axis, of rows that are centered first, (M, M)."""
    centered = values - values.mean(axis=-1, keepdims=True)
    products: Floats = centered @ centered.T
    return products


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
