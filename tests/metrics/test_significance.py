"""Tests of differences against scipy.stats, closed forms and hand-worked examples."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, ttest_rel

from flatqat.metrics.significance import holm, mean_over_seeds, paired_difference


def disagreeing(only_a: int, only_b: int, both: int = 30, neither: int = 10) -> tuple[np.ndarray, np.ndarray]:
    a = [True] * (only_a + both) + [False] * (only_b + neither)
    b = [False] * only_a + [True] * (both + only_b) + [False] * neither
    return np.array(a), np.array(b)


@pytest.mark.parametrize(
    ("only_a", "only_b"), [(0, 0), (1, 0), (5, 5), (3, 12), (12, 3), (0, 40), (700, 600)]
)
def test_mcnemar_is_the_binomial_test_of_the_disagreements(only_a: int, only_b: int) -> None:
    a, b = disagreeing(only_a, only_b)
    result = paired_difference(a, b)
    n = only_a + only_b
    assert result.test == "McNemar"
    assert result.p == pytest.approx(binomtest(only_a, n).pvalue if n else 1.0, rel=1e-9)
    assert result.points == pytest.approx(100 * (a.mean() - b.mean()), abs=1e-12)


def test_standard_error_of_a_paired_difference() -> None:
    a, b = disagreeing(9, 4)
    n = len(a)
    # n sd^2 with ddof=0 is n_a + n_b - (n_a - n_b)^2 / n
    expected = 100 * math.sqrt((13 - 25 / n) / (n - 1) / n)
    assert paired_difference(a, b).stderr == pytest.approx(expected, rel=1e-12)


def test_real_outcomes_take_the_paired_t_test() -> None:
    rng = np.random.default_rng(0)
    a = rng.uniform(size=80)
    b = a - 0.02 + 0.1 * rng.normal(size=80)
    result = paired_difference(a, b)
    assert result.test == "paired t"
    assert result.p == pytest.approx(ttest_rel(a, b).pvalue, rel=1e-9)
    assert result.points == pytest.approx(100 * (a - b).mean(), rel=1e-12)
    assert result.stderr == pytest.approx(100 * (a - b).std(ddof=1) / math.sqrt(80), rel=1e-12)


@pytest.mark.parametrize(("offset", "p"), [(0.0, 1.0), (0.25, 0.0)])
def test_a_difference_without_spread(offset: float, p: float) -> None:
    a = np.linspace(0, 0.5, 9).round(3)
    a = np.round(a * 64) / 64  # so that a + 1/4 - a is exact
    result = paired_difference(a + offset, a)
    assert (result.points, result.stderr, result.p) == (100 * offset, 0, p)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=2, max_size=60))
def test_swapping_the_runs_turns_the_sign_only(pairs: list[tuple[bool, bool]]) -> None:
    a, b = np.array(pairs).T
    there, back = paired_difference(a, b), paired_difference(b, a)
    assert there.points == -back.points
    assert (there.p, there.stderr) == (back.p, back.stderr)
    assert 0 < there.p <= 1


def test_under_no_difference_p_is_rarely_small() -> None:
    rng = np.random.default_rng(1)
    p = [paired_difference(*(rng.uniform(size=(2, 300)) < 0.7)).p for _ in range(1000)]
    # an exact test rejects at most 5%; 1000 trials know that to 0.7%
    assert np.mean(np.array(p) < 0.05) < 0.05 + 3 * 0.007


def test_holm_by_hand() -> None:
    # sorted 0.005 0.01 0.03 0.04; times 4 3 2 1: 0.02 0.03 0.06 0.04; running maximum 0.02 0.03 0.06 0.06
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02], rel=1e-12)
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([0.04]) == [0.04]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_lies_between_the_plain_values_and_bonferroni(p: list[float]) -> None:
    adjusted = holm(p)
    for plain, one in zip(p, adjusted, strict=True):
        assert plain <= one <= min(1.0, len(p) * max(p))
        assert one >= min(1.0, len(p) * min(p)) or plain > min(p)
    order = np.argsort(p, kind="stable")
    assert (np.diff(np.array(adjusted)[order]) >= 0).all()
    assert min(adjusted) == min(1.0, len(p) * min(p))


def test_mean_over_seeds() -> None:
    assert mean_over_seeds([70.0]) == (70.0, None)
    mean, stderr = mean_over_seeds([70.0, 71.0, 75.0])
    assert mean == 72
    assert stderr == pytest.approx(math.sqrt((4 + 1 + 9) / 2 / 3), rel=1e-12)


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match="one length"):
        paired_difference(np.ones(3, bool), np.ones(4, bool))
    with pytest.raises(ValueError, match="at least 2"):
        paired_difference(np.ones(1, bool), np.ones(1, bool))
