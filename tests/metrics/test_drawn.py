"""Pools of images that seeds draw, as one, against pools apart and worlds of known variance."""

import numpy as np
import pytest

from flatqat.metrics.components import Components
from flatqat.metrics.drawn import as_one_pool

ALL, KEPT, METHODS, SEEDS = 60, 48, 2, 5


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def splits(rng, seeds=SEEDS, images=ALL, kept=KEPT):
    """Which images each seed has."""
    return [rng.permutation(images)[:kept] for _ in range(seeds)]


def with_gaps(table, ids, images=ALL):
    """The table (methods, seeds, images) in the order of the images, NaN where a seed lacks one."""
    found = np.full((*table.shape[:2], images), np.nan)
    for seed, of_seed in enumerate(ids):
        for place, image in enumerate(of_seed):
            found[:, seed, image] = table[:, seed, place]
    return found


def of_images(rng, ids, ease, pair_sd=5.0):
    """Contributions whose images (methods, all images) have effects that every seed meets."""
    own = pair_sd * rng.normal(size=(len(ease), len(ids), len(ids[0])))
    return np.stack([ease[:, of_seed] for of_seed in ids], axis=1) + own


def test_one_pool_is_its_table_with_gaps(rng):
    ids = splits(rng)
    table = of_images(rng, ids, 9 * rng.normal(size=(METHODS, ALL)))
    found, expected = as_one_pool([table], [ids]), with_gaps(table, ids)
    assert found == pytest.approx(expected, nan_ok=True)


def test_pools_without_common_images_add_up(rng):
    """But for 1/N of the variance from images, where N is 48 in one pool, 30 in the other, and 78 in both."""
    first, second = splits(rng), [ALL + of_seed for of_seed in splits(rng, kept=30)]
    tables = [of_images(rng, ids, 9 * rng.normal(size=(METHODS, 2 * ALL))) for ids in (first, second)]
    together = Components.of([as_one_pool(tables, [first, second])])
    pools = [with_gaps(t, ids, 2 * ALL) for t, ids in zip(tables, (first, second), strict=True)]
    apart = Components.of(pools)
    assert together.means == pytest.approx(apart.means)
    assert together.seed == pytest.approx(apart.seed)
    own = [c.image + (1 - 1 / SEEDS) * c.pair for c in (together, apart)]  # image^2/N + pair^2/N of one seed
    assert own[0] == pytest.approx(own[1])
    assert np.diag(together.image) == pytest.approx(np.diag(apart.image), rel=0.05)
    assert together.images == KEPT + 30


def test_an_image_of_all_pools_contributes_their_sum(rng):
    """Four equal pools of a quarter each are one."""
    ids = splits(rng)
    table = of_images(rng, ids, 9 * rng.normal(size=(METHODS, ALL)))
    found, expected = (
        Components.of([as_one_pool(tables, [ids] * len(tables))]) for tables in ([table / 4] * 4, [table])
    )
    assert found.mean(1).value == pytest.approx(expected.mean(1).value)
    assert found.difference(1, 0).stderr == pytest.approx(expected.difference(1, 0).stderr)
    assert found.images == expected.images


def test_the_variance_of_a_sum_over_pools_is_right_on_average():
    """Three pools of two of three domains each, as ID where one is left out, whose mean is taken.

    An image has the same effect in its two pools. Of 1,500 worlds the variance of means has an error of 3.7%.
    As if pools had no image in common, the estimate would be 60% of it.
    """
    rng = np.random.default_rng(0)
    sizes, image_sd, pair_sd = (40, 60, 80), 9.0, 5.0
    starts = np.cumsum([0, *sizes])
    found = []
    for _ in range(1500):
        ease = image_sd * rng.normal(size=(METHODS, sum(sizes)))
        of_domains = [
            [start + of_seed for of_seed in splits(rng, images=n, kept=n // 2)]
            for start, n in zip(starts, sizes, strict=False)
        ]
        tables, ids = [], []
        for left_out in range(3):
            sources = [of for k, of in enumerate(of_domains) if k != left_out]
            ids.append([np.concatenate([of[s] for of in sources]) for s in range(SEEDS)])
            tables.append(of_images(rng, ids[-1], ease, pair_sd) / 3)
        found.append(Components.of([as_one_pool(tables, ids)]).difference(1, 0))
    of_pool = {k: (sum(sizes) - sizes[k]) / 2 for k in range(3)}  # images of a seed
    expected = 0.0
    for k, n in enumerate(sizes):
        weight = sum(1 / 3 / of_pool[t] for t in of_pool if t != k)  # of one image in the mean
        expected += weight**2 * image_sd**2 * (n / 2 + (SEEDS - 1) * n / 4) / SEEDS
        squares = sum((1 / 3 / of_pool[t]) ** 2 for t in of_pool if t != k)
        expected += squares * pair_sd**2 * n / 2 / SEEDS
    expected *= 2  # two methods
    assert np.mean([e.stderr**2 for e in found]) == pytest.approx(expected, rel=0.08)
    assert np.var([e.value for e in found]) == pytest.approx(expected, rel=0.12)
