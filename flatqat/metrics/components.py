"""Variance components of means over training seeds and images, for several methods at once.

Every method m has contributions d[m, s, i] of seed s and image i, whose mean is what is reported of it. They
follow a random-effects model without replication, crossed if all seeds are scored on the same images:

    d[m, s, i] = mean_m + seed_ms + image_mi + pair_msi

so that the variance of a mean over S seeds and N images is seed^2/S + image^2/N + pair^2/(S N). The effects
of two methods are correlated, since they are trained and scored alike; all variances are kept as matrices
over methods, from which those of any difference follow.

Seeds may each be scored on a part of the images, as where a split is drawn by the seed. If two seeds have n
images each, k of them in common, the covariance of their means is image^2 k / n^2. With the mean of k / n^2
over pairs of seeds for 1/N, the variance of a mean is again the scatter of the means of seeds over S, plus
image^2/N.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flatqat.metrics.estimate import Estimate
from flatqat.metrics.parts import Floats, Part, products

LEAST_P = 0.1  # that a method scatters like the others, below which it is judged by its own scatter
DRAWS = 4000
ROUNDING = 1e-12  # of sums, below which rounding alone is left of a difference
FEW = 2  # degrees of freedom over seeds, with which Student's t is too far from normal to be mixed with it
MOST_EFFECTS = 2**20  # at a time, which are 8 MB


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Components:
    """Means (M,) and the covariances over M methods, (M, M), that the variances of means come from.

    Attributes:
        means: The mean of each method.
        seed: Of the means of the seeds, with S - 1 degrees of freedom. It contains `pair`.
        image: Of the mean, from images: image^2/N + `pair` / S, summed over independent pools.
        pair: What the images of a seed add to the scatter of seeds: pair^2/N, where all have the same. Where
            seeds have different images, it also contains the effects of the images themselves.
        seeds: The number of seeds S.
        images: The number of images of a seed, over all pools.
        image_freedom: Degrees of freedom of `image`: those of the smallest pool.
        partial: Whether seeds lack images that others have.
    """

    means: Floats
    seed: Floats
    image: Floats
    pair: Floats
    seeds: int
    images: int
    image_freedom: int
    partial: bool

    @classmethod
    def of(cls, pools: Sequence[NDArray[Any] | Part]) -> "Components":
        """Estimate the components from contributions, one array (methods, seeds, images) for each pool.

        Pools are independent groups of images, such as the image sets of a suite, and share the methods and
        the seeds; the means of the pools add up. All seeds have the images of an array; where they draw their
        own, what pools add is given instead, see `drawn` and `apart`. Raises ValueError if there is no pool,
        the shapes do not fit together, or a pool has fewer than two images.
        """
        parts = [pool if isinstance(pool, Part) else Part.of(pool) for pool in pools]
        shapes = [part.by_seed.shape for part in parts]
        if len(set(shapes)) != 1:
            raise ValueError(f"expected pools of the same methods and seeds, got {shapes}")
        seeds = shapes[0][1]
        by_seed = np.sum([part.by_seed for part in parts], axis=0)
        return cls(
            means=by_seed.mean(axis=1),
            seed=products(by_seed) / max(seeds - 1, 1),
            image=np.sum([part.image for part in parts], axis=0),
            pair=np.sum([part.pair for part in parts], axis=0),
            seeds=seeds,
            images=sum(part.images for part in parts),
            image_freedom=min(part.fewest for part in parts) - 1,
            partial=any(part.partial for part in parts),
        )

    def seed_sd(self, method: int) -> float | None:
        """Return the standard deviation of a method's means over seeds, or None with one seed."""
        return float(np.sqrt(self.seed[method, method])) if self.seeds > 1 else None

    def mean(self, method: int) -> Estimate:
        """Return the mean of one method."""
        return self._estimate(float(self.means[method]), lambda matrix: matrix[method, method], None)

    def difference(self, method: int, base: int, scatter: "Scatter | None" = None) -> Estimate:
        """Return the mean of a method minus that of another, by the pooled `scatter` where it fits."""
        a, b = method, base
        fits = scatter is not None and bool(scatter.fits[a, b])
        return self._estimate(
            float(self.means[a] - self.means[b]),
            lambda matrix: (matrix[a, a] - matrix[b, a]) - (matrix[a, b] - matrix[b, b]),
            scatter if fits else None,
        )

    def _estimate(
        self, value: float, variance: Callable[[Floats], float], scatter: "Scatter | None"
    ) -> Estimate:
        """Return an estimate whose variance, of each kind, comes from the covariances of methods."""
        image, pair, seed = (max(float(variance(m)), 0.0) for m in (self.image, self.pair, self.seed))
        if scatter:
            seed = pair * scatter.ratio
        if self.partial:
            seed = max(seed, pair)  # the images of a seed are part of its scatter, which few seeds may miss
        x, y = seed / self.seeds, image - pair / self.seeds
        y = 0.0 if y <= ROUNDING * image else y  # NaN stays
        freedom = scatter.freedom if scatter else self.seeds - 1
        x, y = where_seeds_tie(x, y, pair / self.seeds, freedom)
        return Estimate(
            value=value,
            seed_variance=x,
            image_variance=y,
            seed_freedom=freedom,
            image_freedom=self.image_freedom,
            seeds=self.seeds,
            images=self.images,
        )


def where_seeds_tie(x: float, y: float, pairs: float, freedom: float) -> tuple[float, float]:
    """Return the variances from seeds and from images, whose sum is at least that of `pairs`.

    It is in truth, but seeds may tie by chance, and would leave no variance. What is lacking is known from
    many pairs and counts as that of images, so that an interval need not reach as far as few seeds would make
    it; with very few it counts as that of seeds.
    """
    lacking = max(0.0, pairs - x - y)
    return (x + lacking, y) if freedom <= FEW else (x, y + lacking)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scatter:
    """The scatter of seeds in the difference of two methods, pooled over all pairs of methods.

    Attributes:
        ratio: The pooled scatter, in units of what (seed, image) pairs alone would give, so that it does not
            depend on how much two methods differ.
        freedom: Its degrees of freedom. With the M methods as rows and the S seeds as blocks of a randomized
            block design, the mean over all pairs has (M - 1)(S - 1) (Fisher 1935).
        fits: For each pair of methods (M, M), whether its own scatter is not too large to be pooled.
    """

    ratio: float
    freedom: int
    fits: NDArray[np.bool_]


def pooled_scatter(components: Components) -> Scatter | None:
    """Return the scatter pooled over all pairs of methods, or None unless three methods or more differ.

    The scatter of a pair is too large if it exceeds that of the pairs without one of its two methods, by a
    factor that fewer than 10% of the pairs reach where all methods scatter alike (normal effects of seeds,
    simulated, always from the same draws). So a noisy method or baseline is judged by its own scatter more
    often than not, and its intervals stay near their level: with three times the scatter of nine others they
    cover 89% with three seeds and 92% with five, instead of 80%. Where all scatter alike, they cover 95% to
    96.5%. A method with the outcomes of another is pooled once.
    """
    pair = _of_pairs(components.pair)
    first_alike = [int(np.flatnonzero(row == 0)[0]) for row in pair]
    kept = sorted(set(first_alike))
    if components.seeds < 2 or len(kept) < 3:
        return None
    block = np.ix_(kept, kept)
    apart = ~np.eye(len(kept), dtype=bool)
    ratios = np.divide(
        _of_pairs(components.seed)[block], pair[block], out=np.zeros((len(kept), len(kept))), where=apart
    )
    if not ratios.any():
        return None
    most = float(np.quantile(_draws_of_excess(len(kept), components.seeds), 1 - LEAST_P))
    place = [kept.index(method) for method in first_alike]
    fits = (_excess(ratios) <= most)[np.ix_(place, place)] & (pair > 0)
    return Scatter(
        ratio=float(ratios[apart].mean()), freedom=(len(kept) - 1) * (components.seeds - 1), fits=fits
    )


def _excess(scatter: Floats) -> Floats:
    """Return the scatter of each pair over the smaller of those of the pairs without one of the two."""
    methods = scatter.shape[-1]
    of_all = scatter.sum(axis=(-2, -1))[..., None] / 2
    without = (of_all - scatter.sum(axis=-1)) / ((methods - 1) * (methods - 2) / 2)
    smaller = np.minimum(without[..., :, None], without[..., None, :])
    excess: Floats = np.divide(scatter, smaller, out=np.full_like(scatter, np.inf), where=smaller > 0)
    return excess


def _of_pairs(covariances: Floats) -> Floats:
    """Return the variances of all differences of two methods, (..., M, M); 0 where rounding alone is left."""
    own = np.diagonal(covariances, axis1=-2, axis2=-1)
    together = own[..., :, None] + own[..., None, :]
    variances = together - 2 * covariances
    return np.where(variances > ROUNDING * together, variances, 0.0)


@cache
def _draws_of_excess(methods: int, seeds: int) -> Floats:
    """Return draws of `_excess` for one pair of methods where all scatter alike.

    The sum of |e_a - e_b|^2 over all pairs is M sum |e|^2 - |sum e|^2, and over those of one method
    M |e_m|^2 + sum |e|^2 - 2 e_m sum e, so that memory does not grow with the pairs of methods; nor does it
    with the draws, of which a part is made at a time.
    """
    rng = np.random.Generator(np.random.PCG64(0))
    part = max(1, MOST_EFFECTS // (methods * seeds))
    sizes = [min(part, DRAWS - start) for start in range(0, DRAWS, part)]
    return np.concatenate([_some_draws(rng.normal(size=(size, methods, seeds))) for size in sizes])


def _some_draws(effects: Floats) -> Floats:
    """Return a draw of `_excess` for each array (methods, seeds) of effects, which are centered in place."""
    methods = effects.shape[1]
    effects -= effects.mean(axis=2, keepdims=True)
    own, together = (effects**2).sum(axis=2), effects.sum(axis=1)
    of_all = methods * own.sum(axis=1) - (together**2).sum(axis=1)
    two = effects[:, :2]
    of_each = methods * own[:, :2] + own.sum(axis=1)[:, None] - 2 * (two * together[:, None]).sum(axis=2)
    without = (of_all[:, None] - of_each) / ((methods - 1) * (methods - 2) / 2)
    drawn: Floats = ((two[:, 0] - two[:, 1]) ** 2).sum(axis=1) / without.min(axis=1)
    return drawn
