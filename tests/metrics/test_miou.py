"""mIoU as a function of counts: its influence values, its extra gap, and the bootstrap of both."""

import numpy as np
import pytest

from flatqat.metrics.bootstrap import (
    Interval,
    nested_bootstrap,
    nested_bootstrap_of,
    paired_bootstrap,
    paired_bootstrap_of,
)
from flatqat.metrics.influence import ratio
from flatqat.metrics.miou import mean_extra_gap, miou, pooled_shares, pseudo_values
from flatqat.metrics.significance import paired_difference

CLASSES = 4
SIZES = {"id": 40, "night": 25}
POOLS = {"id": "id", "fog": "id", "night": "night"}


def counts(n: int, quality: float, seed: int = 0, common: int = 0) -> np.ndarray:
    """(n, 2, C): unions of very different size, hits that go together in an image; the last class absent."""
    truth = np.random.default_rng(common).gamma(0.5, 400, size=(n, CLASSES)).astype(int) + 1
    hard = np.random.default_rng(common + 1).uniform(0.5, 1, size=(n, 1))
    share = np.clip(quality * hard + 0.05 * np.random.default_rng(seed).normal(size=(n, CLASSES)), 0, 1)
    both = np.stack([(truth * share).astype(int), truth], axis=1)
    both[:, :, -1] = 0
    return both


def runs(seeds: int, quality: float, seed: int = 0) -> list[dict[str, np.ndarray]]:
    """`fog` shows the images of `id`, a little worse."""
    return [
        {
            shift: counts(SIZES[pool], quality - drop, 100 * seed + 10 * s + at, common=len(pool))
            for at, ((shift, pool), drop) in enumerate(zip(POOLS.items(), (0, 0.2, 0.3), strict=True))
        }
        for s in range(seeds)
    ]


def by_hand(of: np.ndarray) -> float:
    hits, union = of.sum(axis=0)
    return float(np.mean([h / u for h, u in zip(hits, union, strict=True) if u]))


def gap(run: dict[str, np.ndarray]) -> float:
    return 100 * (by_hand(run["id"]) - (by_hand(run["fog"]) + by_hand(run["night"])) / 2)


def test_miou_of_sums_and_of_means_leaves_absent_classes_out() -> None:
    of = counts(30, 0.8)
    assert float(miou(of.sum(axis=0))) == pytest.approx(by_hand(of), rel=1e-12)
    assert float(miou(of.mean(axis=0))) == pytest.approx(by_hand(of), rel=1e-12)
    assert np.isnan(miou(np.zeros((2, 3))))
    both = np.stack([of.sum(axis=0), counts(30, 0.5).sum(axis=0)])
    assert miou(both) == pytest.approx([by_hand(of), by_hand(counts(30, 0.5))])


def test_pooled_is_of_all_images_together() -> None:
    fog, rain, night = counts(30, 0.8), counts(30, 0.6, seed=1), counts(10, 0.4, common=7)
    pooled = sum(float(share.mean()) for share in pooled_shares([[fog, rain], [night]]))
    assert pooled == pytest.approx(by_hand(np.concatenate([fog, rain, night])), rel=1e-12)
    assert abs(pooled - np.mean([by_hand(part) for part in (fog, rain, night)])) > 0.01


def test_the_spread_of_pooled_is_that_of_drawing_the_images_of_each_pool() -> None:
    """An image is drawn with its counts under every shift of its pool."""
    fog, rain, night = counts(60, 0.8), counts(60, 0.6, seed=1), counts(30, 0.4, common=7)
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(4000):
        day, dark = rng.integers(60, size=60), rng.integers(30, size=30)
        drawn.append(by_hand(np.concatenate([fog[day], rain[day], night[dark]])))

    def stderr(shares: list[np.ndarray]) -> float:
        return float(np.sqrt(sum(share.var() / len(share) for share in shares)))

    expected = float(np.std(drawn))
    # 1% from 4,000 draws, and terms of second order: a few percent at 60 and 30 images
    assert stderr(pooled_shares([[fog, rain], [night]])) == pytest.approx(expected, rel=0.06)
    assert stderr(pooled_shares([[fog], [rain], [night]])) != pytest.approx(expected, rel=0.12)


def test_influence_is_the_derivative_by_the_weight_of_an_image() -> None:
    of = counts(12, 0.7)
    values = pseudo_values(of)
    assert values.mean() == pytest.approx(by_hand(of), rel=1e-12)
    step = 1e-6
    for i in range(12):
        weights = np.ones(12)
        weights[i] += step
        up = by_hand(of * weights[:, None, None])
        weights[i] -= 2 * step
        down = by_hand(of * weights[:, None, None])
        slope = 12 * (up - down) / (2 * step)
        # differences of values near 1 with steps of 1e-6: 1e-10 of rounding, times 12
        assert values[i] - values.mean() == pytest.approx(slope, abs=1e-8)
    assert np.isnan(pseudo_values(np.zeros((3, 2, 4)))).all()


def test_with_equal_unions_it_is_a_mean_over_images() -> None:
    hits = np.random.default_rng(0).integers(0, 51, size=(20, 3))
    of = np.stack([hits, np.full((20, 3), 50)], axis=1)
    assert pseudo_values(of) == pytest.approx((hits / 50).mean(axis=1), rel=1e-12)


def test_ratio_of_sums() -> None:
    a, b = np.array([1.0, 3.0]), np.array([2.0, 6.0])
    r, influence = ratio(a, b)
    assert (float(r), influence.tolist()) == (0.5, [0, 0])


def test_false_alarms_of_pseudo_values_come_at_their_rate() -> None:
    """Two models alike, 60 images, 600 repeats at p < 0.05: 30 expected, sd 5.3; within four of them."""
    alarms = 0
    for repeat in range(600):
        one, other = (counts(60, 0.8, seed=2 * repeat + k, common=1000 + repeat) for k in (0, 1))
        alarms += paired_difference(pseudo_values(one), pseudo_values(other)).p < 0.05
    assert 9 <= alarms <= 51


def as_sum(means) -> np.ndarray:
    return sum(mean[..., 0] for mean in means)


@pytest.mark.parametrize("seeds", [1, 3])
@pytest.mark.parametrize(
    ("general", "linear"), [(paired_bootstrap_of, paired_bootstrap), (nested_bootstrap_of, nested_bootstrap)]
)
def test_of_a_sum_of_means_the_draws_are_those_of_the_linear_bootstrap(seeds, general, linear) -> None:
    rng = np.random.default_rng(0)
    pools = [rng.normal(size=(seeds, 50)), rng.integers(-1, 2, size=(seeds, 20)) * 1.0]
    for draws in (2, 64, 130):  # within a block, a whole one, more than two
        one = linear(pools, draws=draws, seed=5)
        other = general(as_sum, [pool[:, :, None] for pool in pools], draws=draws, seed=5)
        for field in Interval.__dataclass_fields__:
            # float64 sums in another order
            assert getattr(other, field) == pytest.approx(getattr(one, field), rel=1e-10, abs=1e-14)


def test_wrong_shapes_are_refused() -> None:
    for pools in ([], [np.ones((2, 3))], [np.ones((2, 3, 1)), np.ones((3, 3, 1))]):
        with pytest.raises(ValueError, match="expected"):
            paired_bootstrap_of(as_sum, pools)
    with pytest.raises(ValueError, match="draws >= 2"):
        nested_bootstrap_of(as_sum, [np.ones((2, 3, 1))], draws=1)


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("seeds", [1, 2])
def test_the_extra_gap_is_the_difference_of_the_gaps(seeds: int, nested: bool) -> None:
    method, reference = runs(seeds, 0.8), runs(seeds, 0.9, seed=1)
    result = mean_extra_gap([(method, reference, POOLS)], nested=nested, draws=20)
    expected = np.mean([gap(m) - gap(r) for m, r in zip(method, reference, strict=True)])
    assert result.value == pytest.approx(expected, rel=1e-10)
    assert (result.images, result.seeds) == (65, seeds)


def test_draws_are_those_of_resampled_images() -> None:
    """Against indices drawn and mIoU computed anew, shift by shift: the same images for `id` and `fog`."""
    method, reference = runs(2, 0.8), runs(2, 0.9, seed=1)
    rng, naive = np.random.default_rng(3), []
    for _ in range(3000):
        rows = rng.integers(2, size=2)
        index = {pool: rng.integers(n, size=n) for pool, n in SIZES.items()}
        drawn = [
            [{s: run[s][index[pool]] for s, pool in POOLS.items()} for run in (method[row], reference[row])]
            for row in rows
        ]
        naive.append(np.mean([gap(m) - gap(r) for m, r in drawn]))
    result = mean_extra_gap([(method, reference, POOLS)], draws=3000)
    low, high = np.quantile(naive, [0.025, 0.975])
    # the 2.5% quantile of 3000 draws has a standard error of 0.05 sd, the difference of two 0.07 sd
    assert result.low == pytest.approx(low, abs=0.28 * np.std(naive))
    assert result.high == pytest.approx(high, abs=0.28 * np.std(naive))
    assert result.stderr == pytest.approx(np.std(naive), rel=0.08)


def test_nested_draws_take_images_for_each_seed_anew() -> None:
    """One run as two seeds: two independent draws of its images, whose mean scatters less by sqrt 2."""
    method, reference = 2 * runs(1, 0.8), 2 * runs(1, 0.9, seed=1)
    paired, nested = (
        mean_extra_gap([(method, reference, POOLS)], nested=nested, draws=3000) for nested in (False, True)
    )
    # each standard deviation of 3000 draws has an error of 1.3%
    assert nested.stderr == pytest.approx(paired.stderr / 2**0.5, rel=0.06)


def test_shifts_of_the_same_images_are_held_together() -> None:
    """A method that loses the same on the same images everywhere has no extra gap, and pairing knows it."""
    lost, whole = counts(40, 0.6), counts(40, 0.9)
    method, reference = [{"id": lost, "fog": lost}], [{"id": whole, "fog": whole}]
    paired = mean_extra_gap([(method, reference, {"id": "id", "fog": "id"})], draws=50)
    assert (paired.low, paired.high) == pytest.approx((0, 0), abs=1e-12)
    apart = mean_extra_gap([(method, reference, {"id": "id", "fog": "other"})], draws=50)
    assert apart.stderr > 0.1


def test_the_delta_method_and_the_bootstrap_agree() -> None:
    method, reference = runs(1, 0.8), runs(1, 0.9, seed=1)
    n = SIZES["id"]
    pools = {"id": "id", "fog": "id"}
    exact = mean_extra_gap([(method, reference, pools)], draws=4000).stderr
    signs = ((method, "id", 1), (method, "fog", -1), (reference, "id", -1), (reference, "fog", 1))
    per_image = 100 * sum(sign * pseudo_values(of[0][shift]) for of, shift, sign in signs)
    assert exact == pytest.approx(per_image.std() / n**0.5, rel=0.15)  # terms of 1/n; 40 images


def test_the_mean_over_members_is_that_of_their_extra_gaps() -> None:
    members = [(runs(2, 0.8, seed=k), runs(2, 0.9, seed=k + 5), POOLS) for k in range(3)]
    each = [mean_extra_gap([member], draws=10).value for member in members]
    assert mean_extra_gap(members, draws=10).value == pytest.approx(np.mean(each), rel=1e-12)


def test_what_makes_no_sense_is_refused() -> None:
    method, reference = runs(2, 0.6), runs(2, 0.8)
    with pytest.raises(ValueError, match="one reference for each seed, got 2 and 1"):
        mean_extra_gap([(method, reference[:1], POOLS)])
    with pytest.raises(ValueError, match="at least one shift"):
        mean_extra_gap([(method, reference, {"id": "id"})])
    with pytest.raises(ValueError, match="expected the same images throughout pool 'id'"):
        mean_extra_gap([(method, reference, {"id": "id", "night": "id"})])
