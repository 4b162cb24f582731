"""The change between two sets of runs against Welch's and Student's tests, and in its false alarms."""

import math

import numpy as np
import pytest
from scipy import stats

from flatqat.metrics.change import change
from flatqat.metrics.components import Components


def runs(rng, ease, seeds, seed_sd=0.5, pair_sd=9.0):
    """Contributions (seeds, images) of one side; `ease` belongs to the images of both."""
    return ease + seed_sd * rng.normal(size=(seeds, 1)) + pair_sd * rng.normal(size=(seeds, len(ease)))


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def test_where_seeds_rule_it_is_the_pooled_t_test_of_runs(rng):
    """20,000 images: what they add to the scatter of 3 points over seeds is below 1e-3 of it."""
    ease = 30 * rng.normal(size=20_000)
    before, now = runs(rng, ease, 3, 3.0), runs(rng, ease, 4, 3.0)
    found = change([before], [now])
    expected = stats.ttest_ind(now.mean(axis=1), before.mean(axis=1))
    assert found.value == pytest.approx(now.mean() - before.mean())
    assert (found.p, found.seed_freedom) == (pytest.approx(expected.pvalue, rel=0.01), 5)


def test_with_one_seed_each_it_is_the_paired_t_test_of_images(rng):
    ease = 30 * rng.normal(size=300)
    before, now = runs(rng, ease, 1), runs(rng, ease, 1)
    found = change([before], [now])
    assert found.p == pytest.approx(stats.ttest_rel(now[0], before[0]).pvalue, rel=1e-6)
    assert found.seeds == 1


def test_a_stated_scatter_of_retraining_counts_for_both_sides(rng):
    ease = 30 * rng.normal(size=300)
    before, now = runs(rng, ease, 1), runs(rng, ease, 1)
    alone, with_sd = change([before], [now]), change([before], [now], retraining_sd=0.75)
    assert with_sd.stderr**2 == pytest.approx(alone.stderr**2 + 2 * 0.75**2)
    three = runs(rng, ease, 3)
    assert change([three], [now], retraining_sd=0.75) == change([three], [now])  # it is known from three runs


def test_the_same_runs_have_not_changed(rng):
    same = runs(rng, np.zeros(50), 3)
    assert change([same], [same]).value == 0
    assert change([same], [same]).p == 1


def test_pools_add_up(rng):
    day, night = rng.normal(size=100), rng.normal(size=40)
    before, now = ([runs(rng, ease, 2), runs(rng, night, 2)] for ease in (day, day))
    found = change(before, now)
    parts = [change(before[k : k + 1], now[k : k + 1]) for k in (0, 1)]
    assert found.value == pytest.approx(sum(part.value for part in parts))
    assert found.image_variance <= sum(part.image_variance for part in parts) + 1e-9


def test_variances_of_images_add_up_over_pools_of_their_own_sizes(rng):
    pools = [(rng.normal(size=(1, n)), rng.normal(size=(1, n))) for n in (100, 40)]
    found = change([before for before, _ in pools], [now for _, now in pools])
    by_hand = sum(stats.sem((now - before)[0]) ** 2 for before, now in pools)
    assert found.image_variance == pytest.approx(by_hand, rel=1e-12)
    assert found.stderr == pytest.approx(math.sqrt(by_hand), rel=1e-12)


def test_pairs_of_seed_and_image_count_once_in_every_pool(rng):
    """Large effects of images, so that what the pairs add to their variance is known to be taken off."""
    pools = [[runs(rng, 30 * rng.normal(size=n), seeds) for seeds in (3, 2)] for n in (100, 40)]
    found = change([before for before, _ in pools], [now for _, now in pools])
    whole = sum(stats.sem(now.mean(axis=0) - before.mean(axis=0)) ** 2 for before, now in pools)
    pair = 0.0
    for sides in pools:
        for side in sides:
            rest = side - side.mean(axis=0) - side.mean(axis=1, keepdims=True) + side.mean()
            seeds, n = side.shape
            pair += (
                (seeds - 1) * (rest**2).sum() / ((seeds - 1) * (n - 1)) / n / 3
            )  # 2 + 1 degrees of freedom
    assert found.image_variance == pytest.approx(max(whole - pair * (1 / 3 + 1 / 2), 0), rel=1e-9)


def test_seeds_with_images_of_their_own(rng):
    before, now = (rng.normal(size=(4, 30)) + rng.normal(size=(4, 1)) for _ in range(2))
    found = change([before], [now], nested=True)
    expected = stats.ttest_ind(now.mean(axis=1), before.mean(axis=1))
    assert found.p == pytest.approx(expected.pvalue, rel=1e-6)


def test_seeds_with_images_of_their_own_scatter_at_least_as_their_images_do(rng):
    before, now = (rng.normal(size=(3, 30)) for _ in range(2))
    flat = [side - side.mean(axis=1, keepdims=True) for side in (before, now)]  # means of seeds that agree
    found = change(flat[:1], flat[1:], nested=True)
    of_images = sum(side.var(axis=1, ddof=1).mean() / 30 for side in flat) / 2
    assert found.seed_variance == pytest.approx(of_images * 2 / 3)


@pytest.mark.parametrize("seeds", [(1, 2), (2, 2), (3, 3), (4, 5)])
def test_seeds_that_tie_leave_what_pairs_of_seed_and_image_give(seeds):
    """Each run is wrong on images of its own, as many as the other seed: no scatter over seeds is seen."""
    sides, first = [], 0
    for count, wrong in zip(seeds, (20, 22), strict=True):
        side = np.full((count, 200), 100.0)
        for seed in range(count):
            side[seed, first : first + wrong] = 0.0
            first += wrong
        sides.append(side)
    found = change(sides[:1], sides[1:])
    rests = [side - side.mean(axis=0) - side.mean(axis=1, keepdims=True) + side.mean() for side in sides]
    pair = sum((rest**2).sum() for rest in rests) / sum(s - 1 for s in seeds) / 199 / 200
    assert found.stderr**2 == pytest.approx(pair * sum(1 / s for s in seeds))
    assert found.p > 0.3  # one image in a hundred
    assert Components.of([sides[1][None]]).seed[0, 0] == 0


@pytest.mark.parametrize("seeds", [(3, 3), (3, 1), (2, 2), (5, 3)])
@pytest.mark.parametrize("seed_sd", [0.0, 0.37, 0.74])
def test_a_retraining_changes_nothing_more_often_than_promised(seeds, seed_sd):
    """At p < 0.05, two-sided: 5% of 600 trials, with a standard error of 0.9%; three of them beside.

    It may be less with two degrees of freedom, or where seeds scatter less than pairs of seed and image make
    them, by 0.45 points: the variance has a floor.
    """
    rng = np.random.default_rng([*seeds, round(100 * seed_sd)])
    alarms = 0
    for _ in range(600):
        ease = 30 * rng.normal(size=400)
        alarms += change([runs(rng, ease, seeds[0], seed_sd)], [runs(rng, ease, seeds[1], seed_sd)]).p < 0.05
    least = 0.02 if sum(seeds) - 2 > 2 and seed_sd > 0.45 else 0.0
    assert least <= alarms / 600 < 0.08
