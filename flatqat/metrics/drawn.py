"""Pools of images that each seed draws, as one: an image may be in several, such as ID of two domains."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flatqat.metrics.parts import Floats


def as_one_pool(tables: Sequence[Floats], ids: Sequence[Sequence[NDArray[Any]]]) -> Floats:
    """Return pools (methods, seeds, images) as one of `Components.of`, whose mean is the sum of theirs.

    `ids[p][s]` (images,) says which images pool p has with seed s, each once. What an image contributes to
    several pools is added up:

        d[m, s, i] = mean_ms + sum_p (n_s / n_ps) (d_p[m, s, i] - mean_pms) f_ps,   mean_ms = sum_p mean_pms

    where seed s has n_s images, n_ps of them in pool p. With f_ps^2 = (1 - 1/n_s) / (1 - 1/n_ps) the variance
    from images is, as long as pools have none in common, the sum of theirs without bias.
    """
    every: NDArray[Any] = np.unique(np.concatenate([of_seed for pool in ids for of_seed in pool]))
    methods, seeds, _ = tables[0].shape
    found = np.full((methods, seeds, len(every)), np.nan)
    for seed in range(seeds):
        places = [np.searchsorted(every, pool[seed]) for pool in ids]
        has = np.zeros(len(every), bool)
        has[np.concatenate(places)] = True
        count, total = np.count_nonzero(has), np.zeros((methods, len(every)))
        means = [table[:, seed].mean(axis=1, keepdims=True) for table in tables]
        for table, mean, place in zip(tables, means, places, strict=True):
            n = len(place)
            factor = count / n * np.sqrt((1 - 1 / count) / (1 - 1 / n))
            total[:, place] += factor * (table[:, seed] - mean)
        found[:, seed, has] = np.sum(means, axis=0) + total[:, has]
    return found
