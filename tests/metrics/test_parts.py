"""Pools of images that seeds draw, against full tables, sums over pairs, and worlds of known variance."""

from itertools import product

import numpy as np
import pytest

from flatqat.metrics.components import Components
from flatqat.metrics.parts import Part, apart, drawn
from tests.helpers.slow import slow

ALL, KEPT, METHODS, SEEDS = 60, 48, 2, 5


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def splits(rng, seeds=SEEDS, images=ALL, kept=KEPT):
    """Which images each seed has."""
    return [rng.permutation(images)[:kept] for _ in range(seeds)]


def of_images(rng, ids, ease, seed_sd=1.0, pair_sd=5.0):
    """Contributions whose images (methods, all images) have effects that every seed meets."""
    own = pair_sd * rng.normal(size=(len(ease), len(ids), len(ids[0])))
    own += seed_sd * rng.normal(size=(len(ease), len(ids), 1))
    return np.stack([ease[:, of_seed] for of_seed in ids], axis=1) + own


def assert_equal(found: Part, expected: Part, rel: float = 1e-9) -> None:
    for name in ("by_seed", "image", "pair"):
        assert getattr(found, name) == pytest.approx(getattr(expected, name), rel=rel), name
    assert (found.images, found.fewest, found.partial) == (
        expected.images,
        expected.fewest,
        expected.partial,
    )


@pytest.mark.parametrize("seeds", [1, 2, 5])
def test_seeds_with_the_same_images_are_a_full_table_in_any_order(rng, seeds):
    table = of_images(rng, [np.arange(ALL)] * seeds, 9 * rng.normal(size=(METHODS, ALL)))
    orders = splits(rng, seeds, kept=ALL)
    mixed = np.stack([table[:, s, order] for s, order in enumerate(orders)], axis=1)
    assert_equal(drawn([mixed], [orders]), Part.of(table))


@pytest.mark.parametrize("seeds", [1, 2, 5])
def test_seeds_without_common_images_are_apart(rng, seeds):
    table = rng.normal(size=(METHODS, seeds, KEPT))
    assert_equal(drawn([table], [[*np.arange(seeds * KEPT).reshape(seeds, KEPT)]]), apart(table))


def test_seeds_with_a_part_of_the_images_are_analyzed_pair_by_pair(rng):
    """The covariance of the means of two seeds, by a loop over all pairs of them and their common images."""
    ids = splits(rng, seeds=4)
    table = of_images(rng, ids, 9 * rng.normal(size=(METHODS, ALL)))
    found = Components.of([drawn([table], [ids])]).difference(1, 0)
    d, n = table[1] - table[0], KEPT
    by_seed, shared = d.mean(axis=1), []
    for s, t in product(range(4), repeat=2):
        if s != t:
            places = [(i, j) for i, j in product(range(n), repeat=2) if ids[s][i] == ids[t][j]]
            shared.append(sum((d[s, i] - by_seed[s]) * (d[t, j] - by_seed[t]) for i, j in places))
    of_images_alone = np.mean(shared) / (n * (n - 1))
    within = d.var(axis=1, ddof=1).mean() / n
    assert found.value == pytest.approx(by_seed.mean())
    assert found.image_variance == pytest.approx(of_images_alone)
    assert found.seed_variance == pytest.approx(max(by_seed.var(ddof=1), within - of_images_alone) / 4)
    assert (found.images, found.image_freedom) == (n, n - 1)


def of_difference(part: Part, name: str) -> float:
    """What a part says of the second method minus the first."""
    matrix = getattr(part, name)
    return float(matrix[1, 1] + matrix[0, 0] - 2 * matrix[1, 0])


def test_a_part_that_is_nearly_all_is_nearly_the_whole_table(rng):
    """The seeds lack one of 600 images each."""
    ids = splits(rng, images=600, kept=599)
    table = of_images(rng, [np.arange(600)] * SEEDS, 9 * rng.normal(size=(METHODS, 600)))
    part = drawn([np.stack([table[:, s, of] for s, of in enumerate(ids)], axis=1)], [ids])
    whole = Part.of(table)
    assert (whole.partial, part.partial) == (False, True)
    for name in ("image", "pair"):
        assert of_difference(part, name) == pytest.approx(of_difference(whole, name), rel=0.03), name


def test_pools_without_common_images_add_up(rng):
    """Their variances are the sums of those of each alone."""
    first, second = splits(rng), [ALL + of_seed for of_seed in splits(rng, kept=30)]
    tables = [of_images(rng, ids, 9 * rng.normal(size=(METHODS, 2 * ALL))) for ids in (first, second)]
    both, *alone = drawn(tables, [first, second]), *map(drawn, ([t] for t in tables), ([first], [second]))
    for name in ("by_seed", "image", "pair"):
        assert getattr(both, name) == pytest.approx(sum(getattr(part, name) for part in alone)), name
    assert (both.images, both.fewest) == (KEPT + 30, 30)


def test_an_image_of_all_pools_contributes_their_sum(rng):
    """Four equal pools of a quarter each are one."""
    ids = splits(rng)
    table = of_images(rng, ids, 9 * rng.normal(size=(METHODS, ALL)))
    assert_equal(drawn([table / 4] * 4, [ids] * 4), drawn([table], [ids]))


@pytest.mark.parametrize("change", [1, -1])
def test_an_image_may_change_its_pool_between_seeds(rng, change):
    """One seed has it in the first pool, the other in the second, with the same sign or the opposite one."""
    images = np.arange(ALL)
    ease = 9 * rng.normal(size=(METHODS, ALL))
    ids = [[images[:30], images[30:]], [images[30:], images[:30]]]
    values = of_images(rng, [images] * 2, ease)
    tables = [
        weight * np.stack([values[:, s, of_seed] for s, of_seed in enumerate(pool)], axis=1)
        for pool, weight in zip(ids, (1, change), strict=True)
    ]
    part = drawn(tables, ids)
    rest = values.copy()
    for half in (images[:30], images[30:]):
        rest[:, :, half] -= rest[:, :, half].mean(axis=2, keepdims=True)
    shared = change * (rest[:, 0] @ rest[:, 1].T + rest[:, 1] @ rest[:, 0].T) / 2 / (30 * 29)
    assert part.image - part.pair / 2 == pytest.approx(shared)
    assert part.partial


def roles(rng, sizes, world):
    """Weights of the pools of three networks, each of which leaves out a domain, and the images of each."""
    starts = np.cumsum([0, *sizes])
    half = [
        [(start + order[: n // 2], start + order[n // 2 :]) for order in splits(rng, images=n, kept=n)]
        for start, n in zip(starts, sizes, strict=False)
    ]
    pools = []
    for left_out in range(3):
        sources = [of for k, of in enumerate(half) if k != left_out]
        pools.append((1 / 3, [np.concatenate([of[s][0] for of in sources]) for s in range(SEEDS)]))
        if world == "gap":
            pools.append((-1 / 3, [half[left_out][s][1] for s in range(SEEDS)]))
    return pools


@pytest.mark.parametrize("world", ["gap", *slow("id")])
def test_the_variance_of_a_sum_over_pools_is_right_on_average(world):
    """The mean over three networks of ID, or of ID - OOD, where each leaves out another of three domains.

    An image has the same effect wherever it is scored. The true variance, given which images were drawn, is
    that of a weighted sum of independent effects. Of 1,500 worlds the variance of means has an error of 3.7%,
    the mean of estimates one of 1%. As if pools had no image in common, the estimate is half of it in ID, and
    twice it in the gap, where an image is on the other side with some seeds.
    """
    rng, sizes, image_sd, pair_sd = np.random.default_rng(0), (40, 60, 80), 9.0, 5.0
    values, estimated, alone_, expected = [], [], [], []
    for _ in range(1500):
        ease = image_sd * rng.normal(size=(METHODS, sum(sizes)))
        weights, ids = zip(*roles(rng, sizes, world), strict=True)
        tables = [
            weight * of_images(rng, of_pool, ease, 0.0, pair_sd)
            for weight, of_pool in zip(weights, ids, strict=True)
        ]
        part = drawn(tables, ids)
        values.append(float(np.diff(part.by_seed.mean(axis=1))[0]))
        estimated.append(of_difference(part, "image"))
        each = (drawn([table], [of_pool]) for table, of_pool in zip(tables, ids, strict=True))
        alone_.append(sum(of_difference(one, "image") for one in each))
        of_image, of_pairs = np.zeros(sum(sizes)), 0.0
        for weight, of_pool in zip(weights, ids, strict=True):
            for of_seed in of_pool:
                of_image[of_seed] += weight / len(of_seed) / SEEDS
                of_pairs += (weight / SEEDS) ** 2 / len(of_seed)
        expected.append(2 * (image_sd**2 * (of_image**2).sum() + pair_sd**2 * of_pairs))
    assert np.mean(estimated) == pytest.approx(np.mean(expected), rel=0.04)
    assert np.var(values) == pytest.approx(np.mean(expected), rel=0.12)
    assert np.mean(alone_) / np.mean(expected) == pytest.approx({"id": 0.53, "gap": 1.94}[world], rel=0.05)


@pytest.mark.parametrize("how", [Part.of, apart, lambda table: drawn([table], [[np.arange(1)] * 3])])
def test_a_pool_of_one_image_is_refused(rng, how):
    with pytest.raises(ValueError, match="2 or more images"):
        how(rng.normal(size=(METHODS, 3, 1)))
