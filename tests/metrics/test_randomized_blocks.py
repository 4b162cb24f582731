"""Contrasts in randomized blocks against scipy's paired t, textbook sums of squares, and in their level."""

import math

import numpy as np
import pytest
from scipy import stats

from flatqat.metrics.randomized_blocks import contrasts

TINY = 1e-12  # the same sums in another order


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def test_two_methods_give_the_paired_t_test(rng):
    table = rng.normal(size=(2, 5)) + 10 * rng.normal(size=5)
    expected = stats.ttest_rel(table[1], table[0])
    found = contrasts(table, 0, [0, 0])[1]
    assert found.value == pytest.approx((table[1] - table[0]).mean(), abs=TINY)
    assert found.p == pytest.approx(expected.pvalue, abs=1e-9)
    assert found.freedom == 4


def test_the_error_is_that_of_the_least_squares_fit_of_methods_and_seeds(rng):
    """Ordinary regression on dummies is the slower twin."""
    methods, seeds = 4, 3
    table = rng.normal(size=(methods, seeds))
    design = np.array(
        [
            [1.0, *(float(m == j) for j in range(1, methods)), *(float(s == j) for j in range(1, seeds))]
            for m in range(methods)
            for s in range(seeds)
        ]
    )
    fit, (squares,), *_ = np.linalg.lstsq(design, table.ravel(), rcond=None)
    freedom = design.shape[0] - design.shape[1]
    errors = np.sqrt(squares / freedom * np.diag(np.linalg.inv(design.T @ design)))
    found = contrasts(table, 0, [0] * methods)
    for m in range(1, methods):
        assert found[m].value == pytest.approx(fit[m], abs=TINY)
        assert found[m].stderr == pytest.approx(errors[m], abs=TINY)
        assert found[m].freedom == freedom


def test_the_images_come_on_top_with_endless_degrees_of_freedom(rng):
    table = rng.normal(size=(3, 3))
    plain, more = contrasts(table, 0, [0] * 3)[1], contrasts(table, 0, [0, 2, 0])[1]
    assert more.stderr**2 == pytest.approx(plain.stderr**2 + 2)
    assert more.freedom == pytest.approx(plain.freedom * (more.stderr / plain.stderr) ** 4)


def test_one_seed_leaves_the_images():
    found = contrasts(np.array([[50.0], [51.0]]), 0, [0, 0.25])[1]
    assert math.isinf(found.freedom)
    assert found.p == pytest.approx(2 * stats.norm.sf(2))


def test_the_baseline_and_its_copy_do_not_differ():
    for found in contrasts(np.array([[1.0, 2.0], [1.0, 2.0]]), 0, [0, 0]):
        assert (found.value, found.p) == (0, 1)


def test_the_smallest_detectable_difference_has_the_p_of_bonferronis_bound(rng):
    found = contrasts(rng.normal(size=(4, 3)), 0, [0.1] * 4)[2]
    least = found.detectable(7)
    assert 2 * stats.t.sf(least / found.stderr, found.freedom) == pytest.approx(0.05 / 7)


def test_methods_that_do_not_differ_are_called_different_as_rarely_as_promised(rng):
    """Three seeds move all methods by far more than runs scatter. 600 tables of 6 contrasts, which hang
    together through the baseline: 0.05 ± 0.009 at most, and 4 of these are allowed."""
    hits = 0
    for _ in range(600):
        table = rng.normal(size=(7, 3)) + 20 * rng.normal(size=3)
        hits += sum(found.p < 0.05 for found in contrasts(table, 0, [0] * 7)[1:])
    assert 0.015 < hits / 3600 < 0.086


@pytest.mark.parametrize(("shape", "baseline", "variances"), [((1, 3), 0, 1), ((3, 3), 3, 3), ((3, 3), 0, 2)])
def test_what_cannot_be_compared_is_refused(shape, baseline, variances):
    with pytest.raises(ValueError, match="expected"):
        contrasts(np.zeros(shape), baseline, [0] * variances)
