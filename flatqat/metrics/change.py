"""The change between two sets of training runs of one cell that are scored on the same images."""

import math
from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from flatqat.metrics.components import Components, where_seeds_tie
from flatqat.metrics.estimate import Estimate
from flatqat.metrics.parts import apart

KNOWN = 1e9  # degrees of freedom of a variance that is given rather than estimated


def change(
    before: Sequence[NDArray[Any]],
    now: Sequence[NDArray[Any]],
    *,
    nested: bool = False,
    retraining_sd: float = 0.0,
) -> Estimate:
    """Return mean(now) - mean(before) with the error of retraining and of images.

    Both have one array (seeds, images) of contributions for each pool of images; the numbers of seeds may
    differ, the images may not. With S_b and S_n seeds, and the scatter over seeds pooled over both sides,
    which has S_b + S_n - 2 degrees of freedom,

        seed_variance = scatter (1/S_b + 1/S_n)
        image_variance = var_i(mean now_i - mean before_i) / N - pair (1/S_b + 1/S_n)

    where `pair`, what (seed, image) pairs alone add to the scatter, is in both terms and counts once. Their
    sum is at least pair (1/S_b + 1/S_n), as it is in truth: seeds may tie, and would leave no variance. The
    runs of the two sides are taken as independent, even if their seeds have the same numbers: a change of
    code, threads or machine makes a training another one. With one seed on each side the scatter is unknown.
    Then it is that of `retraining_sd`, the standard deviation of a retraining in the unit of the
    contributions; with 0 the test speaks of these runs alone. `nested` says that image i is another one for
    every seed. Raises ValueError as `Components.of` does.
    """
    sides = [
        Components.of([apart(pool[None]) if nested else pool[None] for pool in pools])
        for pools in (before, now)
    ]
    shares = [1 / side.seeds for side in sides]
    freedom = sum(side.seeds - 1 for side in sides)
    if freedom:
        scatter, pair = (
            math.fsum((side.seeds - 1) * float(part(side)) for side in sides) / freedom
            for part in (lambda side: side.seed[0, 0], lambda side: side.pair[0, 0])
        )
    else:
        scatter, pair = retraining_sd**2, 0.0
    if nested:
        scatter = max(scatter, pair)  # the images of a seed are part of its scatter, which few seeds may miss
        of_images = 0.0 if freedom else sum(float(side.image[0, 0]) for side in sides)
    else:
        differences = [n.mean(axis=0) - b.mean(axis=0) for b, n in zip(before, now, strict=True)]
        of_images = math.fsum(float(d.var(ddof=1)) / len(d) for d in differences) - pair * sum(shares)
    x, y = where_seeds_tie(scatter * sum(shares), max(of_images, 0.0), pair * sum(shares), freedom or KNOWN)
    return Estimate(
        value=float(sides[1].means[0] - sides[0].means[0]),
        seed_variance=x,
        image_variance=y,
        seed_freedom=freedom or KNOWN,
        image_freedom=sides[0].image_freedom,
        seeds=min(side.seeds for side in sides),
        images=sides[0].images,
    )
