"""Intervals, p-values and power of an estimate against scipy, closed forms and simulated coverage."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from flatqat.metrics.estimate import Estimate

IMAGES_ALONE = Estimate(
    value=1.3, seed_variance=0.0, image_variance=0.4, seed_freedom=0, image_freedom=19, seeds=1, images=20
)
SEEDS_ALONE = replace(IMAGES_ALONE, seed_variance=0.4, image_variance=0.0, seed_freedom=2, seeds=3)
BOTH = replace(SEEDS_ALONE, seed_variance=0.3, image_variance=0.2)
ESTIMATES = pytest.mark.parametrize("estimate", [IMAGES_ALONE, SEEDS_ALONE, BOTH])


@pytest.mark.parametrize(("estimate", "freedom"), [(IMAGES_ALONE, 19), (SEEDS_ALONE, 2)])
def test_where_one_source_is_alone_it_is_students(estimate, freedom):
    t = stats.t(freedom, loc=1.3, scale=0.4**0.5)
    assert (estimate.low, estimate.high) == pytest.approx(t.interval(0.95))
    assert estimate.half_width(0.99) == pytest.approx(t.interval(0.99)[1] - 1.3)
    assert estimate.p == pytest.approx(2 * stats.t.sf(1.3 / 0.4**0.5, freedom), rel=1e-9)


def test_between_them_the_squared_quantile_is_interpolated():
    share = 0.3 / 0.5
    of_images, of_seeds = stats.t.ppf(0.975, 19) ** 2, stats.t.ppf(0.975, 2) ** 2
    quantile = (of_images + (of_seeds - of_images) * share**1.75) ** 0.5
    assert BOTH.half_width() == pytest.approx(0.5**0.5 * quantile)
    assert BOTH.stderr == pytest.approx(0.5**0.5)


@ESTIMATES
def test_at_its_p_the_interval_ends_at_zero(estimate):
    for value in (0.2, -1.3, 4.0):
        moved = replace(estimate, value=value)
        assert moved.half_width(1 - moved.p) == pytest.approx(abs(value), rel=1e-6)
    assert replace(estimate, value=0.0).p == pytest.approx(1.0)


def test_a_p_far_out_does_not_become_zero():
    assert 0 < replace(IMAGES_ALONE, value=1e4, image_freedom=5).p < 1e-15


def test_without_any_scatter_the_value_is_sure_but_for_the_number_of_images():
    sure = replace(IMAGES_ALONE, image_variance=0.0, images=5)
    assert (sure.low, sure.high, sure.p, sure.detectable(0.05)) == (1.3, 1.3, 1 / 16, 0.0)
    assert replace(sure, value=0.0).p == 1.0


@pytest.mark.parametrize(("one", "freedom"), [(IMAGES_ALONE, 19), (SEEDS_ALONE, 2)])
@pytest.mark.parametrize("p", [0.05, 0.01])
def test_the_detectable_difference_of_one_source_is_that_of_the_noncentral_t(one, freedom, p):
    """To 0.2% of the power. Two quantiles of t added would have 70% and 77% with 2 degrees of freedom."""
    size = one.detectable(p) / one.stderr
    power = stats.nct.sf(stats.t.isf(p / 2, freedom), freedom, size)
    assert power == pytest.approx(0.8, abs=0.002)


@pytest.mark.parametrize("least", [0.0, 2.0, 9.0])
def test_a_true_difference_of_the_detectable_size_is_found_in_80_percent(least):
    """Drawn: 200,000 studies with both sources, of 0.1% of standard error."""
    rng, draws, size = np.random.default_rng(0), 200_000, BOTH.detectable(0.01, least=least)
    x, y = 0.3 * rng.chisquare(2, draws) / 2, 0.2 * rng.chisquare(19, draws) / 19
    of_seeds, of_images = stats.t.isf(0.005, 2) ** 2, stats.t.isf(0.005, 19) ** 2
    ends = np.sqrt((x + y) * (of_images + (of_seeds - of_images) * (x / (x + y)) ** 1.75))
    found = rng.normal(size, 0.5**0.5, draws) > np.maximum(least, ends)
    assert found.mean() == pytest.approx(0.8, abs=0.005)


def test_the_interval_of_a_share_is_wilsons():
    right, n = 47, 50
    p = right / n
    of = replace(
        IMAGES_ALONE, value=100 * p, image_variance=1e4 * p * (1 - p) / n, image_freedom=10**7, images=n
    )
    expected = stats.binomtest(right, n).proportion_ci(method="wilson")
    assert of.of_share() == pytest.approx((100 * expected.low, 100 * expected.high), rel=1e-5)


@pytest.mark.parametrize("value", [0.0, 100.0])
def test_where_all_images_agree_the_interval_is_that_of_as_many_images(value):
    low, high = replace(
        IMAGES_ALONE, value=value, image_variance=0.0, image_freedom=10**7, images=40
    ).of_share()
    expected = stats.binomtest(round(40 * value / 100), 40).proportion_ci(method="wilson")
    assert (low, high) == pytest.approx((100 * expected.low, 100 * expected.high), rel=1e-5)
    assert high - low > 5


@pytest.mark.parametrize(
    ("freedom", "least", "most"), [(1, 0.930, 0.973), (2, 0.942, 0.965), (9, 0.947, 0.955)]
)
def test_coverage_whatever_share_of_the_variance_the_seeds_have(freedom, least, most):
    """X of the seeds is estimated with few degrees of freedom, Y of the images is known.

    40,000 draws: a standard error of 0.1%. Satterthwaite's own quantile would cover 87% with one.
    """
    rng = np.random.default_rng(freedom)
    n = 40_000
    for share in (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 0.95, 1.0):
        seeds = share * rng.chisquare(freedom, n) / freedom
        values, total = rng.normal(size=n), seeds + 1 - share
        weight = seeds / total
        z, t = stats.norm.ppf(0.975) ** 2, stats.t.ppf(0.975, freedom) ** 2
        formula = np.sqrt(total * (z + (t - z) * weight**1.75))
        one = Estimate(value=0.0, seed_variance=float(seeds[0]), image_variance=1 - share,
                       seed_freedom=freedom, image_freedom=10**7, seeds=freedom + 1, images=9)  # fmt: skip
        assert one.half_width() == pytest.approx(formula[0], rel=1e-5)
        assert least <= (np.abs(values) <= formula).mean() <= most, share
