"""The nested bootstrap against index resampling and closed forms of its variance."""

import itertools

import numpy as np
import pytest

from flatqat.metrics.bootstrap import nested_bootstrap, paired_bootstrap
from flatqat.metrics.extra_gap import mean_extra_gap


def extra_gap(method, reference, pools, **options):
    """Of one member."""
    return mean_extra_gap([(method, reference, pools)], **options)


def nested(rng: np.random.Generator, seeds: int, images: int, seed_sd: float = 1) -> np.ndarray:
    """d[s, i] = seed effect + noise: image i of one seed has nothing to do with image i of another."""
    return seed_sd * rng.normal(size=(seeds, 1)) + rng.normal(size=(seeds, images))


def exact_variance(pools: list[np.ndarray]) -> float:
    """Var T*, by the law of total variance: of the seeds drawn, then of the images drawn for each."""
    seeds = len(pools[0])
    means = sum(pool.mean(axis=1) for pool in pools)
    errors = sum(pool.var(axis=1) / pool.shape[1] for pool in pools)
    return float(np.var(means) + np.mean(errors)) / seeds


def test_the_value_is_the_sum_of_the_means() -> None:
    rng = np.random.default_rng(0)
    pools = [rng.normal(size=(3, 50)), rng.normal(size=(3, 7))]
    result = nested_bootstrap(pools, draws=50)
    assert result.value == pytest.approx(pools[0].mean() + pools[1].mean(), rel=1e-12)
    assert (result.seeds, result.images, result.draws, result.level) == (3, 57, 50, 0.95)
    assert result.low < result.value < result.high


@pytest.mark.parametrize("values", [(0, 1), (-1, 0, 1), None], ids=["right or wrong", "differences", "reals"])
def test_draws_are_those_of_resampled_indices(values: tuple[int, ...] | None) -> None:
    rng = np.random.default_rng(1)
    sizes = (60, 25)
    pools = [nested(rng, 4, n) if values is None else rng.choice(values, (4, n)) * 1.0 for n in sizes]
    naive, pooled = [], list(zip(pools, sizes, strict=True))
    for _ in range(4000):
        rows = rng.integers(4, size=4)
        means = [[pool[s][rng.integers(n, size=n)].mean() for s in rows] for pool, n in pooled]
        naive.append(np.mean(means, axis=1).sum())
    result = nested_bootstrap(pools, draws=4000)
    low, high = np.quantile(naive, [0.025, 0.975])
    # the 2.5% quantile of 4000 normal draws has a standard error of 0.042 sd, the difference of two 0.06 sd
    assert result.low == pytest.approx(low, abs=0.25 * np.std(naive))
    assert result.high == pytest.approx(high, abs=0.25 * np.std(naive))


@pytest.mark.parametrize(("seeds", "images"), [(1, [200]), (3, [40]), (3, [40, 15]), (10, [15])], ids=str)
def test_the_spread_of_the_draws_is_the_closed_form(seeds: int, images: list[int]) -> None:
    rng = np.random.default_rng(2)
    pools = [nested(rng, seeds, n) + 5 for n in images]
    spread = exact_variance(pools) ** 0.5
    # the standard deviation of 10,000 draws is known to 0.7%: four of those
    assert nested_bootstrap(pools, draws=10_000).stderr == pytest.approx(spread, rel=0.03)


def test_with_one_seed_it_is_the_error_of_a_mean_over_images() -> None:
    d = np.random.default_rng(3).normal(size=(1, 300))
    assert exact_variance([d]) ** 0.5 == pytest.approx(d.std() / np.sqrt(300), rel=1e-9)
    assert nested_bootstrap([d], draws=10_000).stderr == pytest.approx(d.std() / np.sqrt(300), rel=0.03)


def test_seeds_are_drawn_once_for_all_pools() -> None:
    """What the seeds do to one pool they undo in the other: nothing is left but the images."""
    effect = np.array([[-9.0], [0.0], [9.0]])
    noise = np.random.default_rng(4).normal(size=(2, 3, 50))
    result = nested_bootstrap([noise[0] + effect, noise[1] - effect], draws=2000)
    assert result.stderr < 0.25  # sqrt(2 / 150) = 0.12; with seeds drawn apart it would be 6


def test_the_true_variance_is_counted_as_the_docstring_says() -> None:
    """Over many experiments: that of the seeds (S - 1)/S times, that of the images 2 - 1/S times."""
    rng = np.random.default_rng(5)
    seeds, images, runs = 3, 8, 1500
    variance = np.mean([exact_variance([nested(rng, seeds, images, seed_sd=0.5)]) for _ in range(runs)])
    of_seeds, of_images = 0.25 / seeds, 1 / (seeds * images)
    expected = (1 - 1 / seeds) * of_seeds + (2 - 1 / seeds) * of_images
    assert variance == pytest.approx(expected, rel=0.06)  # a standard error of 2%


def test_images_of_the_crossed_bootstrap_stay_together_and_those_of_the_nested_do_not() -> None:
    """One image that is hard for every seed is one image there, and three here."""
    hard = np.repeat(np.random.default_rng(6).normal(size=(1, 100)), 3, axis=0)
    crossed, apart = paired_bootstrap([hard], draws=8000), nested_bootstrap([hard], draws=8000)
    assert crossed.stderr / apart.stderr == pytest.approx(3**0.5, rel=0.06)


def test_the_same_seed_gives_the_same_draws() -> None:
    d = nested(np.random.default_rng(7), 3, 20)
    assert nested_bootstrap([d], draws=50) == nested_bootstrap([d], draws=50)
    assert nested_bootstrap([d], draws=50).low != nested_bootstrap([d], draws=50, seed=1).low


@pytest.mark.parametrize("pools", [[], [np.ones(3)], [np.ones((2, 3)), np.ones((3, 3))]], ids=len)
def test_shapes_are_checked(pools: list[np.ndarray]) -> None:
    with pytest.raises(ValueError, match="expected"):
        nested_bootstrap(pools)


POOLS = {"id": "id", "sketch": "target"}


def runs(seeds: int, seed: int, accuracy: float) -> list[dict[str, np.ndarray]]:
    rng = np.random.default_rng(seed)
    return [
        {"id": rng.random(80) < accuracy, "sketch": rng.random(50) < accuracy - 0.2} for _ in range(seeds)
    ]


def test_the_extra_gap_is_nested_where_it_is_told() -> None:
    method, reference = runs(3, 0, 0.8), runs(3, 1, 0.9)
    crossed, apart = (extra_gap(method, reference, POOLS, nested=nested) for nested in (False, True))
    assert apart.value == pytest.approx(crossed.value, rel=1e-12)
    matrices = [
        np.stack([100 * (m["id"] * 1.0 - r["id"]) for m, r in zip(method, reference, strict=True)]),
        np.stack([-100 * (m["sketch"] * 1.0 - r["sketch"]) for m, r in zip(method, reference, strict=True)]),
    ]
    assert apart == nested_bootstrap(matrices)
    assert crossed == paired_bootstrap(matrices)


def test_the_mean_extra_gap_is_the_mean_of_those_of_its_members() -> None:
    members = [(runs(2, at, 0.8), runs(2, at + 10, 0.9), POOLS) for at in range(3)]
    each = [extra_gap(*member, nested=True, draws=4000) for member in members]
    mean = mean_extra_gap(members, nested=True, draws=4000)
    assert mean.value == pytest.approx(np.mean([one.value for one in each]), rel=1e-12)
    assert mean.images == 3 * 130
    matrices = [
        [np.stack([w * (m[s] * 1.0 - r[s]) for m, r in zip(*member[:2], strict=True)])
         for s, w in (("id", 100 / 3), ("sketch", -100 / 3))]
        for member in members
    ]  # fmt: skip
    spread = exact_variance(list(itertools.chain(*matrices))) ** 0.5
    assert mean.stderr == pytest.approx(spread, rel=0.05)  # 4,000 draws: 1.1%
