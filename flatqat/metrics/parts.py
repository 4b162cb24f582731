"""What one pool of images adds to variance components, whether or not all seeds have all of its images."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Part:
    """What one pool of images adds to `Components`: means (M, S) of seeds, and covariances (M, M)."""

    by_seed: Floats
    image: Floats
    pair: Floats
    images: int
    partial: bool

    @classmethod
    def of(cls, table: Floats) -> "Part":
        """Return what contributions (methods, seeds, images) add; NaN is an image that a seed does not have.

        All is NaN where a method has no value with some seed. Raises ValueError if the shape is another one,
        methods differ in their images, or a seed has fewer than two.
        """
        if table.ndim != 3 or table.shape[2] < 2 or not table.size:
            raise ValueError(
                f"expected pools (methods, seeds, 2 or more images), got the shape {table.shape}"
            )
        lacking = np.isnan(table)
        if not lacking.any():
            image, pair = _of_same_images(table)
            images = table.shape[2]
            return cls(by_seed=table.mean(axis=2), image=image, pair=pair, images=images, partial=False)
        if lacking.all(axis=2).any():
            unknown = np.full((len(table), len(table)), np.nan)
            by_seed, images = np.full(table.shape[:2], np.nan), table.shape[2]
            return cls(by_seed=by_seed, image=unknown, pair=unknown, images=images, partial=False)
        if (of_none := lacking.all(axis=(0, 1))).any():
            return cls.of(np.compress(~of_none, table, axis=2))
        if (lacking != lacking[0]).any():
            raise ValueError("expected the same images of a seed for all methods, got others")
        has = (~lacking[0]).astype(float)
        counts = has.sum(axis=1)
        if counts.min() < 2:
            raise ValueError(f"expected two images or more for each seed, got {counts.astype(int).tolist()}")
        by_seed = np.nansum(table, axis=2) / counts
        rest = np.where(lacking, 0.0, table - by_seed[:, :, None])
        image, pair = _of_some_images(rest, has, counts)
        return cls(by_seed=by_seed, image=image, pair=pair, images=int(counts.min()), partial=True)


def apart(table: NDArray[Any]) -> Part:
    """Return what contributions (methods, seeds, images) add if every seed has images of its own."""
    _, seeds, images = table.shape
    if seeds == 1:
        return Part.of(table)
    by_seed = table.mean(axis=2)
    rest = (table - by_seed[:, :, None]).reshape(len(table), -1)
    own = rest @ rest.T / (images * (images - 1) * seeds)
    return Part(by_seed=by_seed, image=own / seeds, pair=own, images=images, partial=True)


def _of_same_images(table: Floats) -> tuple[Floats, Floats]:
    """Return `image` and `pair` of one pool (M, S, N) whose seeds have the same images."""
    methods, seeds, images = table.shape
    by_image = table.mean(axis=1)
    image = products(by_image) / ((images - 1) * images)
    if seeds == 1:
        return image, np.zeros((methods, methods))
    rest = table - by_image[:, None]
    rest -= rest.mean(axis=2, keepdims=True)
    flat = rest.reshape(methods, -1)
    return image, flat @ flat.T / ((seeds - 1) * (images - 1) * images)


def _of_some_images(rest: Floats, has: Floats, counts: Floats) -> tuple[Floats, Floats]:
    """Return `image` and `pair` of one pool whose seeds have some of its images each.

    `rest` (M, S, N) has what differs from the mean of a seed, and 0 for an image that it lacks, as `has`
    (S, N) says; a seed has `counts` (S,) images. A product of two seeds at an image that they have in common
    is image^2 (1 - 1/n_s - 1/n_t + n_st / (n_s n_t)) on average.
    """
    methods, seeds, _ = rest.shape
    in_common = has @ has.T
    of_means = in_common / np.outer(counts, counts)
    weights = in_common * (1 - 1 / counts - 1 / counts[:, None] + of_means)
    np.fill_diagonal(of_means, 0.0)
    np.fill_diagonal(weights, 0.0)
    by_image, flat = rest.sum(axis=1), rest.reshape(methods, -1)
    of_two_seeds = by_image @ by_image.T - flat @ flat.T
    shared = of_two_seeds / weights.sum() * of_means.sum() / (seeds * (seeds - 1)) if weights.sum() else 0.0
    scaled = rest / np.sqrt(counts * (counts - 1))[:, None]
    flat = scaled.reshape(methods, -1)
    pair = flat @ flat.T / seeds - shared
    return shared + pair / seeds, pair


def products(values: Floats) -> Floats:
    """Return the sums of products over the last axis, of rows that are centered first, (M, M)."""
    centered = values - values.mean(axis=-1, keepdims=True)
    products: Floats = centered @ centered.T
    return products
