"""The partial rank correlation against regressions, and its level under errors of ID and effects of seeds."""

import numpy as np
import pytest
from scipy import stats

from flatqat.metrics.partial_rank import partial_rank
from flatqat.metrics.rank import rank_correlation
from scripts.simulate_flatness import trial
from tests.helpers.slow import slow

ROWS, COLUMNS = 12, 3


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def test_without_errors_it_is_what_a_regression_on_id_leaves(rng):
    """Of the ranks within columns, by least squares."""
    x, y, z = (rng.normal(size=(ROWS, COLUMNS)) for _ in range(3))
    x, y = x + z, y - z
    rx, ry, rz = (stats.rankdata(table, axis=0).ravel() for table in (x, y, z))
    held = np.column_stack([rz, np.ones_like(rz)])
    left = [r - held @ np.linalg.lstsq(held, r, rcond=None)[0] for r in (rx, ry)]
    found = partial_rank(x, (y, y), (z, z))
    assert found.rho == pytest.approx(np.corrcoef(*left)[0, 1], abs=1e-12)
    shifts = rng.normal(size=(3, COLUMNS))  # of the columns, which change no rank within them
    x, y, z = (table + shift for table, shift in zip((x, y, z), shifts, strict=True))
    assert partial_rank(x, (y, y), (z, z)) == found


def test_with_one_column_it_is_the_formula_of_three_plain_ones(rng):
    x, y, z = (rng.normal(size=(ROWS, 1)) for _ in range(3))
    x, y = x + z, y - z
    xy, xz, yz = (stats.spearmanr(a.ravel(), b.ravel()).statistic for a, b in ((x, y), (x, z), (y, z)))
    expected = (xy - xz * yz) / np.sqrt((1 - xz**2) * (1 - yz**2))
    found = partial_rank(x, (y, y), (z, z))
    assert found.rho == pytest.approx(expected, abs=1e-12)
    assert found.reliability == pytest.approx(1)
    assert abs(xy - expected) > 0.1  # or the test would say nothing


def test_the_error_is_a_jackknife_over_rows_and_p_students(rng):
    x, y, z = (rng.normal(size=(ROWS, COLUMNS)) for _ in range(3))
    found = partial_rank(x, (y, y + 0.1), (z, z))
    left = [partial_rank(*(np.delete(x, r, 0), (np.delete(y, r, 0),) * 2, (np.delete(z, r, 0),) * 2)).rho
            for r in range(ROWS)]  # fmt: skip
    stderr = np.sqrt((ROWS - 1) / ROWS * np.sum((np.array(left) - np.mean(left)) ** 2))
    assert found.stderr == pytest.approx(stderr)
    assert found.p == pytest.approx(2 * stats.t.sf(abs(found.rho) / stderr, ROWS - 3))


def test_a_planted_effect_is_found_and_keeps_its_sign(rng):
    z = rng.normal(size=(ROWS, COLUMNS))
    own = rng.normal(size=(ROWS, COLUMNS))
    noisy = [z + 0.1 * rng.normal(size=z.shape) for _ in range(2)]
    y = [z - own + 0.1 * rng.normal(size=z.shape) for _ in range(2)]
    found = partial_rank(own - z, tuple(y), tuple(noisy))
    assert found.rho < -0.7
    assert found.p < 0.001


def test_it_is_withheld_where_the_halves_do_not_agree(rng):
    x, y, z = (rng.normal(size=(ROWS, COLUMNS)) for _ in range(3))
    found = partial_rank(x, (y, y), (z, rng.normal(size=z.shape)))
    assert found.reliability < 0.5
    assert found.p is None


def test_constant_tables_have_none_and_others_are_refused(rng):
    x, y, z = (rng.normal(size=(ROWS, COLUMNS)) for _ in range(3))
    assert partial_rank(np.ones_like(x), (y, y), (z, z)) is None
    assert partial_rank(x, (2 * z, z), (z, z + 1)) is None  # nothing of y is left at equal z
    by_id, nearly = np.arange(5.0)[:, None], np.array([0.0, 2, 1, 3, 4])[:, None]
    sharp = rng.normal(size=(5, 1))  # without the second row both have the same ranks
    assert partial_rank(sharp, (nearly, nearly), (by_id, by_id)) is None
    with pytest.raises(ValueError, match="at least 5 rows, got 4"):
        partial_rank(x[:4], (y[:4],) * 2, (z[:4],) * 2)
    with pytest.raises(ValueError, match="finite tables of one shape"):
        partial_rank(x, (y, y[:5]), (z, z))


def alarms(methods, images, ability_sd, trials):
    rng = np.random.default_rng([methods, images])
    ps = [trial(rng, methods, images, ability_sd, 0.0) for _ in range(trials)]
    return np.mean([p is not None and p < 0.05 for p in ps])


@pytest.mark.parametrize(("methods", "images"), [(10, 400), *slow((10, 10_000), (20, 2000))])
def test_where_ability_alone_drives_all_flatness_is_rarely_given_the_credit(methods, images):
    """At most 7%, and two standard errors of 150 trials (2.1%); without the halves it was 52 to 78%."""
    assert alarms(methods, images, 1.0, 150) <= 0.07 + 0.042


@pytest.mark.parametrize(("methods", "seeds"), [(10, 3), *slow((20, 6))])
def test_what_seeds_do_to_all_methods_is_no_evidence(methods, seeds):
    """5%, and three standard errors of 150 trials (1.8%); ranks that kept it gave 14% and 22%."""
    rng = np.random.default_rng([methods, seeds])

    def effects():
        of_method, of_seed, own = (
            rng.normal(size=size) for size in ((methods, 1), (seeds,), (methods, seeds))
        )
        return of_method + of_seed + 0.5 * own

    count = 0
    for _ in range(150):
        z = effects()
        x, y = z + effects(), z + effects()
        halves = [
            tuple(t + sd * rng.normal(size=t.shape) for _ in range(2)) for t, sd in ((y, 0.3), (z, 0.5))
        ]
        p = partial_rank(x, *halves).p
        count += p is not None and p < 0.05
    assert count / 150 <= 0.05 + 0.054


@pytest.mark.slow
@pytest.mark.parametrize("methods", [10, 20, 60])
@pytest.mark.parametrize("images", [400, 2000, 10_000])
@pytest.mark.parametrize("ability_sd", [1.0, 3.0])
def test_false_alarms_of_every_case(methods, images, ability_sd):
    """At most 7%, and two standard errors of 600 trials (1%)."""
    assert alarms(methods, images, ability_sd, 600) <= 0.07 + 0.02


def test_the_simulation_does_drive_a_plain_partial_correlation_astray():
    """Or it would prove nothing: with ID as measured, the residuals of sharpness and OOD correlate."""
    rng = np.random.default_rng(0)
    ability = rng.normal(size=(60, 1)) + 0.4 * rng.normal(size=(60, COLUMNS))
    noisy = ability + 1.4 * rng.normal(size=ability.shape)
    x = -ability + 0.1 * rng.normal(size=ability.shape)
    fit = np.polynomial.Polynomial.fit
    left = [t - fit(noisy.ravel(), t.ravel(), 1)(noisy) for t in (x, ability)]
    assert rank_correlation(*left).p < 0.01


def test_where_nothing_differs_in_z_nothing_is_said_of_how_well_it_is_measured(rng):
    x, y = (rng.normal(size=(ROWS, COLUMNS)) for _ in range(2))
    found = partial_rank(x, (y, y), (np.ones_like(x), np.ones_like(x)))
    assert (found.reliability, found.p) == (0.0, None)
