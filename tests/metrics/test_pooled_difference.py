"""The z-test of means over shifts."""

import numpy as np
import pytest

from flatqat.metrics.significance import paired_difference, pooled_difference


def test_equals_the_paired_t_test_on_one_large_pool():
    """With 5,000 images Student's t is the normal distribution to about 1e-3 in p."""
    rng = np.random.default_rng(0)
    a, b = rng.random(5000), rng.random(5000) - 0.01
    z, t = pooled_difference([a - b]), paired_difference(a, b)
    assert (z.points, z.stderr) == pytest.approx((t.points, t.stderr), rel=1e-12)
    assert z.p == pytest.approx(t.p, abs=1e-3)


def test_variances_of_independent_pools_add():
    rng = np.random.default_rng(1)
    pools = [rng.normal(0.01, 0.1, 400), rng.normal(0.02, 0.2, 100)]
    result = pooled_difference(pools)
    variance = sum(d.var(ddof=1) / len(d) for d in pools)
    assert result.points == pytest.approx(100 * sum(d.mean() for d in pools), rel=1e-12)
    assert result.stderr == pytest.approx(100 * variance**0.5, rel=1e-12)


def test_false_alarms_come_at_their_rate():
    """2,000 repeats at p < 0.05: 100 expected, sd 9.7; within four of them."""
    rng = np.random.default_rng(2)
    alarms = sum(
        pooled_difference([rng.normal(0, 1, 60), rng.normal(0, 3, 40)]).p < 0.05 for _ in range(2000)
    )
    assert 61 <= alarms <= 139


def test_no_spread():
    assert pooled_difference([np.zeros(3)]).p == 1
    assert pooled_difference([np.full(3, 0.5)]).p == 0
    with pytest.raises(ValueError, match="at least two images"):
        pooled_difference([np.zeros(1)])
