"""What pools of images add to variance components: the same for all seeds, drawn by each seed, or its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Part:
    """What pools of images add to `Components`: means (M, S) of seeds, and covariances (M, M).

    Attributes:
        by_seed: The means of the seeds, added up over pools.
        image: Of the mean over seeds, from images.
        pair: What the images of a seed add to the scatter of seeds.
        images: The number of images of a seed.
        fewest: Those of the smallest pool.
        partial: Whether seeds lack images that others have.
    """

    by_seed: Floats
    image: Floats
    pair: Floats
    images: int
    fewest: int
    partial: bool

    @classmethod
    def of(cls, table: NDArray[Any]) -> "Part":
        """Return what one pool (methods, seeds, images) adds whose images are the same for all seeds."""
        table = _checked(table)
        methods, seeds, images = table.shape
        by_image = table.mean(axis=1)
        image = products(by_image) / ((images - 1) * images)
        pair = np.zeros((methods, methods))
        if seeds > 1:
            rest = table - by_image[:, None]
            rest -= rest.mean(axis=2, keepdims=True)
            flat = rest.reshape(methods, -1)
            pair = flat @ flat.T / ((seeds - 1) * (images - 1) * images)
        by_seed = table.mean(axis=2)
        return cls(by_seed=by_seed, image=image, pair=pair, images=images, fewest=images, partial=False)


def apart(table: NDArray[Any]) -> Part:
    """Return what one pool (methods, seeds, images) adds if every seed has images of its own."""
    table = _checked(table)
    methods, seeds, images = table.shape
    if seeds == 1:
        return Part.of(table)
    by_seed = table.mean(axis=2)
    flat = (table - by_seed[:, :, None]).reshape(methods, -1)
    own = flat @ flat.T / ((images - 1) * images * seeds)
    return Part(by_seed=by_seed, image=own / seeds, pair=own, images=images, fewest=images, partial=True)


def drawn(tables: Sequence[NDArray[Any]], ids: Sequence[Sequence[NDArray[Any]]]) -> Part:
    """Return what pools (methods, seeds, images) add whose images each seed draws, some of them again.

    `ids[p][s]` (images,) says which images pool p has with seed s, each once. An image that several pools
    have, with the same or with other seeds, is one image, whose values are added up. With n images in pool p
    and r for what differs from the mean of a seed,

        e[m, s, i] = sum_p r_p[m, s, i] / sqrt(n (n - 1))

    the sum of e[m, s, i] e[l, s, i] over images is the covariance of the means of one seed given its effect,
    and that with two seeds the covariance that these have by their common images, but for 1/n of it. Raises
    ValueError if a pool has fewer than two images for a seed.
    """
    tables = [_checked(table) for table in tables]
    methods, seeds, _ = tables[0].shape
    every: NDArray[Any] = np.unique(np.concatenate([of_seed for pool in ids for of_seed in pool]))
    total, has = np.zeros((methods, seeds, len(every))), np.zeros((len(tables), seeds, len(every)), bool)
    by_seed = [table.mean(axis=2) for table in tables]
    for table, pool, means, of_pool in zip(tables, ids, by_seed, has, strict=True):
        n = table.shape[2]
        for seed, of_seed in enumerate(pool):
            place = np.searchsorted(every, of_seed)
            total[:, seed, place] += (table[:, seed] - means[:, seed, None]) / np.sqrt(n * (n - 1))
            of_pool[seed, place] = True
    flat, by_image = total.reshape(methods, -1), total.sum(axis=1)
    own = flat @ flat.T
    shared = (by_image @ by_image.T - own) / (seeds * max(seeds - 1, 1))
    pair = own / seeds - shared if seeds > 1 else np.zeros_like(own)
    return Part(
        by_seed=np.sum(by_seed, axis=0),
        image=own / seeds - pair * (1 - 1 / seeds),
        pair=pair,
        images=int(has[:, 0].any(axis=0).sum()),
        fewest=min(table.shape[2] for table in tables),
        partial=bool((has != has[:, :1]).any()),
    )


def products(values: Floats) -> Floats:
    """Return the sums of products over the last axis, of rows that are centered first, (M, M)."""
    centered = values - values.mean(axis=-1, keepdims=True)
    products: Floats = centered @ centered.T
    return products


def _checked(table: NDArray[Any]) -> Floats:
    if table.ndim != 3 or table.shape[2] < 2 or not table.size:
        raise ValueError(f"expected pools (methods, seeds, 2 or more images), got shape {table.shape}")
    return np.asarray(table, dtype=np.float64)
