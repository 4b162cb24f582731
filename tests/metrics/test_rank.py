"""Rank correlation against scipy's, against closed forms, and in its level under independence of methods."""

from itertools import permutations

import numpy as np
import pytest
from scipy import stats

from flatqat.metrics.rank import permuted_sd, rank_correlation, ranks

ROWS, COLUMNS = 8, 3
TINY = 1e-12  # the same sums in another order


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def table(rng, *, ties=False):
    values = rng.normal(size=(ROWS, COLUMNS))
    return values.round() if ties else values


@pytest.mark.parametrize("ties", [False, True])
def test_rho_of_a_column_is_scipys(rng, ties):
    x, y = table(rng, ties=ties)[:, :1], table(rng, ties=ties)[:, :1]
    expected = stats.spearmanr(x.ravel(), y.ravel()).statistic
    assert rank_correlation(x, y).rho == pytest.approx(expected, abs=TINY)


def test_ranks_are_scipys(rng):
    values = rng.integers(0, 4, size=50)
    assert ranks(values).tolist() == stats.rankdata(values).tolist()


def test_it_is_the_mean_of_the_columns_where_nothing_is_tied(rng):
    x, y = table(rng), table(rng) + 100 * np.arange(COLUMNS)  # a seed moves all its runs
    columns = [stats.spearmanr(x[:, s], y[:, s]).statistic for s in range(COLUMNS)]
    assert rank_correlation(x, y).rho == pytest.approx(np.mean(columns), abs=TINY)


def test_only_the_order_counts(rng):
    x, y = table(rng), table(rng)
    assert rank_correlation(np.exp(x), y**3) == rank_correlation(x, y)


def test_a_planted_correlation_is_found_and_its_sign_kept(rng):
    x = table(rng)
    found = rank_correlation(x, -x + 0.1 * table(rng))
    assert found.rho < -0.9
    assert found.stderr < 0.1
    assert found.p < 0.001
    assert (found.rows, found.columns) == (ROWS, COLUMNS)


def test_the_error_is_that_of_the_jackknife_over_rows_and_over_columns(rng):
    x, y = table(rng), table(rng) + 100 * np.arange(COLUMNS)  # a seed moves all its runs
    variance = 0.0
    for axis, count in ((0, ROWS), (1, COLUMNS)):
        left = np.array([_rho(np.delete(x, g, axis), np.delete(y, g, axis)) for g in range(count)])
        variance += (count - 1) / count * ((left - left.mean()) ** 2).sum()
    assert rank_correlation(x, y).stderr == pytest.approx(np.sqrt(variance), abs=TINY)


def test_runs_that_repeat_each_other_are_no_more_evidence(rng):
    """Three copies of a column leave rho, p and the error where one column has them."""
    x, y = rng.normal(size=(2, ROWS, 1))
    one, three = rank_correlation(x, y), rank_correlation(x.repeat(3, axis=1), y.repeat(3, axis=1))
    assert three.rho == pytest.approx(one.rho, abs=TINY)
    assert three.p == one.p
    assert three.stderr == pytest.approx(one.stderr, abs=TINY)


def test_few_rows_are_permuted_in_every_order(rng):
    x, y = rng.normal(size=(2, 5, 2)) + 100 * np.arange(2)
    every = [abs(_rho(x[list(order)], y)) for order in permutations(range(5))]
    expected = np.mean(np.array(every) >= every[0] - TINY)
    assert 0.05 < expected < 0.95
    assert rank_correlation(x, y).p == pytest.approx(expected)


def test_many_rows_are_drawn_and_agree_with_scipys_permutation_test(rng):
    x, y = rng.normal(size=(2, 9, 1))
    y += 0.5 * x

    def statistic(order):
        return stats.spearmanr(order, y.ravel()).statistic

    expected = stats.permutation_test(
        (x.ravel(),), statistic, permutation_type="pairings", n_resamples=2000, rng=1
    ).pvalue
    error = np.sqrt(expected * (1 - expected) * (1 / 2000 + 1 / 9999))
    assert rank_correlation(x, y).p == pytest.approx(expected, abs=4 * error)


def test_independent_methods_are_called_related_as_rarely_as_promised(rng):
    """Runs share their method and their seed. At 5% 400 tables give 0.05 ± 0.011: 3.5 of them up or down."""

    def runs():
        seeds, methods = rng.normal(size=(1, COLUMNS)), 0.3 * rng.normal(size=(ROWS, 1))
        return seeds + methods + 0.3 * rng.normal(size=(ROWS, COLUMNS))

    hits = 0
    for _ in range(400):
        hits += rank_correlation(runs(), runs(), draws=199).p <= 0.05
    assert 0.01 < hits / 400 < 0.09


@pytest.mark.parametrize("sign", [-1, 1])
def test_what_a_column_does_to_all_rows_hides_no_sign(rng, sign):
    """A learning rate makes all methods sharper and worse; among methods sharpness goes with `sign`."""
    rates = np.arange(6)
    x = rng.normal(size=(20, 1)) + 0.3 * rng.normal(size=(20, 6)) + 2 * rates
    y = sign * x[:, :1] + rng.normal(size=(20, 6)) - 4 * rates
    assert stats.spearmanr(x.ravel(), y.ravel()).statistic < -0.5
    found = rank_correlation(x, y)
    assert found.rho * sign > 0.3
    assert found.p < 0.05


def test_a_constant_has_no_correlation(rng):
    assert rank_correlation(np.ones((4, 2)), rng.normal(size=(4, 2))) is None


@pytest.mark.parametrize(
    ("x", "y"),
    [
        (np.zeros((4, 2)), np.zeros((4, 3))),
        (np.zeros(4), np.zeros(4)),
        (np.full((4, 2), np.nan), np.zeros((4, 2))),
        (np.zeros((2, 5)), np.zeros((2, 5))),
    ],
)
def test_what_is_no_table_of_runs_is_refused(x, y):
    with pytest.raises(ValueError, match="expected"):
        rank_correlation(x, y)


def _rho(x, y):
    """The mean of scipy's rho of the columns, where nothing is tied."""
    return np.mean([stats.spearmanr(a, b).statistic for a, b in zip(x.T, y.T, strict=True)])


def test_its_deviation_without_correlation_is_that_of_all_permutations(rng):
    x, y = table(rng)[:5], table(rng, ties=True)[:5]
    rhos = [rank_correlation(x[list(order)], y, draws=1).rho for order in permutations(range(5))]
    assert permuted_sd(x, y) == pytest.approx(np.std(rhos), abs=TINY)
    assert permuted_sd(x[:, :1], y[:, :1] ** 3) <= 1 / np.sqrt(4) + TINY
    repeated = (np.tile(rng.normal(size=(8, 1)), (1, 4)) for _ in range(2))
    assert permuted_sd(*repeated) == pytest.approx(7**-0.5)
