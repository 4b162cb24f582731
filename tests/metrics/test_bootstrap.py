"""The crossed bootstrap against index resampling, closed forms of its variance, and simulated coverage."""

import itertools
import time
from dataclasses import asdict

import numpy as np
import pytest

from flatqat.metrics.bootstrap import Interval, paired_bootstrap, paired_bootstraps


def crossed(
    rng: np.random.Generator, seeds: int, images: int, seed_sd: float = 1, image_sd: float = 1
) -> np.ndarray:
    """d[s, i] = seed effect + image effect + noise, of mean 0."""
    return (
        seed_sd * rng.normal(size=(seeds, 1))
        + image_sd * rng.normal(size=(1, images))
        + rng.normal(size=(seeds, images))
    )


def exact_variance(d: np.ndarray) -> float:
    """Var T* for one pool: E[c_s c_t] = [s = t] + 1 - 1/S for multinomial counts, and so for images."""
    s, n = d.shape
    second_moment = (
        (d**2).sum()
        + (1 - 1 / n) * (d.sum(axis=1) ** 2).sum()
        + (1 - 1 / s) * (d.sum(axis=0) ** 2).sum()
        + (1 - 1 / s) * (1 - 1 / n) * d.sum() ** 2
    )
    return float(second_moment / (s * n) ** 2 - d.mean() ** 2)


def test_the_value_is_the_sum_of_the_means() -> None:
    rng = np.random.default_rng(0)
    pools = [rng.normal(size=(3, 50)), rng.normal(size=(3, 7))]
    result = paired_bootstrap(pools, draws=50)
    assert result.value == pytest.approx(pools[0].mean() + pools[1].mean(), rel=1e-12)
    assert (result.seeds, result.images, result.draws, result.level) == (3, 57, 50, 0.95)
    assert result.low < result.value < result.high


def test_draws_are_those_of_resampled_indices() -> None:
    rng = np.random.default_rng(1)
    pools = [crossed(rng, 4, 60), crossed(rng, 4, 25)]
    naive = []
    for _ in range(4000):
        rows = rng.integers(4, size=4)
        columns = [rng.integers(pool.shape[1], size=pool.shape[1]) for pool in pools]
        naive.append(sum(pool[np.ix_(rows, at)].mean() for pool, at in zip(pools, columns, strict=True)))
    result = paired_bootstrap(pools, draws=4000)
    low, high = np.quantile(naive, [0.025, 0.975])
    # the 2.5% quantile of 4000 normal draws has a standard error of 0.042 sd, the difference of two 0.06 sd
    assert result.low == pytest.approx(low, abs=0.25 * np.std(naive))
    assert result.high == pytest.approx(high, abs=0.25 * np.std(naive))


@pytest.mark.parametrize(("seeds", "images"), [(1, 200), (3, 40), (10, 15)])
def test_the_spread_of_the_draws_is_the_closed_form(seeds: int, images: int) -> None:
    d = crossed(np.random.default_rng(2), seeds, images) + 5
    # the standard deviation of 20,000 draws is known to 0.5%: four of those
    assert paired_bootstrap([d], draws=20_000).stderr == pytest.approx(np.sqrt(exact_variance(d)), rel=0.02)


def test_with_one_seed_it_is_the_error_of_a_mean() -> None:
    d = np.random.default_rng(3).normal(size=(1, 300))
    assert np.sqrt(exact_variance(d)) == pytest.approx(d.std() / np.sqrt(300), rel=1e-9)
    result = paired_bootstrap([d], draws=20_000)
    assert result.stderr == pytest.approx(d.std() / np.sqrt(300), rel=0.02)


def test_two_draws_by_hand() -> None:
    result = paired_bootstrap([np.random.default_rng(3).normal(size=(2, 30))], draws=2, level=0.5)
    # quartiles of two points stand half their distance apart; the sd of two points is distance / sqrt(2)
    assert result.stderr == pytest.approx(2 * (result.high - result.low) / np.sqrt(2), rel=1e-9)


def test_every_resample_of_a_tiny_case_is_reached() -> None:
    d = np.array([[0.0, 1.0], [10.0, 100.0]])
    possible = {
        round(float(d[np.ix_(rows, at)].mean()), 9)
        for rows in itertools.product(range(2), repeat=2)
        for at in itertools.product(range(2), repeat=2)
    }
    result = paired_bootstrap([d], draws=2000, level=1 - 1e-9)
    assert result.low == pytest.approx(min(possible), abs=1e-4)
    assert result.high == pytest.approx(max(possible), abs=1e-4)


def test_pools_share_their_seeds() -> None:
    luck = np.array([[-3.0], [0.5], [7.0]]) * np.ones(20)
    result = paired_bootstrap([luck, -luck[:, :11]], draws=200)
    assert result.stderr == pytest.approx(0, abs=1e-12)


def test_pools_have_images_of_their_own() -> None:
    d = np.random.default_rng(4).normal(size=(1, 400))
    opposite = paired_bootstrap([d, -d], draws=4000)
    # independent pools: variances add although the values cancel; 4000 draws know a spread to 1.1%
    assert opposite.stderr == pytest.approx(np.sqrt(2 / 400) * d.std(), rel=0.05)
    assert opposite.value == 0


def test_a_seed_fixes_the_draws() -> None:
    d = [crossed(np.random.default_rng(5), 3, 40)]
    assert paired_bootstrap(d, draws=100) == paired_bootstrap(d, draws=100)
    assert paired_bootstrap(d, draws=100, seed=1) != paired_bootstrap(d, draws=100)


def test_several_statistics_at_once_are_those_one_by_one() -> None:
    rng = np.random.default_rng(5)
    several = [[rng.normal(size=(3, 40)), rng.normal(size=(3, 7))] for _ in range(4)]
    for at_once, contributions in zip(paired_bootstraps(several, draws=50), several, strict=True):
        alone = paired_bootstrap(contributions, draws=50)
        assert asdict(at_once) == pytest.approx(asdict(alone), rel=1e-12)  # products in another order


def test_several_statistics_need_the_same_seeds_and_images() -> None:
    with pytest.raises(ValueError, match="same seeds and images"):
        paired_bootstraps([[np.zeros((3, 4))], [np.zeros((3, 5))]])


def test_a_wider_level_holds_the_narrower() -> None:
    d = [crossed(np.random.default_rng(6), 3, 40)]
    wide, narrow = paired_bootstrap(d, level=0.99), paired_bootstrap(d, level=0.8)
    assert wide.low < narrow.low < narrow.high < wide.high


def covered(intervals: list[Interval]) -> float:
    return float(np.mean([one.low <= 0 <= one.high for one in intervals]))


def test_coverage_of_a_paired_difference_of_one_seed() -> None:
    rng = np.random.default_rng(7)
    worlds = [rng.choice([-1.0, 0.0, 1.0], p=[0.1, 0.8, 0.1], size=(1, 200)) for _ in range(500)]
    # 500 worlds know a coverage of 95% to 1.0%: three of those
    assert covered([paired_bootstrap([d], draws=300) for d in worlds]) == pytest.approx(0.95, abs=0.03)


def test_coverage_needs_the_seeds() -> None:
    rng = np.random.default_rng(8)
    worlds = [crossed(rng, 10, 100) for _ in range(300)]
    # ten seeds count sqrt(0.9) of their spread and a quantile of 1.96 where Student's is 2.26: near 91%
    assert 0.86 < covered([paired_bootstrap([d], draws=300) for d in worlds]) < 0.96
    images_alone = [d.mean(axis=0, keepdims=True) for d in worlds]
    assert covered([paired_bootstrap([d], draws=300) for d in images_alone]) < 0.6


def test_three_seeds_of_ten_thousand_images_take_less_than_a_second() -> None:
    d = [np.random.default_rng(9).normal(size=(3, 10_000))]
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        paired_bootstrap(d)
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 1


@pytest.mark.parametrize(
    ("pools", "options", "message"),
    [
        ([], {}, "expected pools"),
        ([np.zeros(5)], {}, "expected pools"),
        ([np.zeros((2, 0))], {}, "expected pools"),
        ([np.zeros((2, 5)), np.zeros((3, 5))], {}, "same seeds"),
        ([np.zeros((2, 5))], {"draws": 1}, "draws >= 2"),
        ([np.zeros((2, 5))], {"level": 95}, "level between 0 and 1"),
    ],
)
def test_what_makes_no_sense_is_refused(pools: list, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        paired_bootstrap(pools, **options)
