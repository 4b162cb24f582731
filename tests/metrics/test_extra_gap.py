"""The extra gap against its definition, for suites of one pool and of many."""

import numpy as np
import pytest

from flatqat.metrics.extra_gap import contributions, mean_extra_gap

CORRUPTIONS = {"id": "id", "fog/1": "id", "fog/5": "id", "night": "night", "snow": "snow"}
SIZES = {"id": 400, "night": 150, "snow": 90}

Runs = list[dict[str, np.ndarray]]


def extra_gap(method, reference, pools, **options):
    """Of one member."""
    return mean_extra_gap([(method, reference, pools)], **options)


def runs(seeds: int, accuracy: float, seed: int = 0, pools: dict[str, str] = CORRUPTIONS) -> Runs:
    """Right answers that go together within an image: one latent difficulty for all shifts of its pool."""
    rng = np.random.default_rng(seed)
    difficulty = {pool: np.random.default_rng(99).uniform(size=SIZES[pool]) for pool in set(pools.values())}
    return [
        {
            shift: difficulty[pool] + 0.1 * rng.normal(size=SIZES[pool]) < accuracy
            for shift, pool in pools.items()
        }
        for _ in range(seeds)
    ]


def mean_accuracy(of: Runs, shift: str) -> float:
    return 100 * float(np.mean([run[shift].mean() for run in of]))


def gap(of: Runs, shifts: list[str]) -> float:
    return mean_accuracy(of, "id") - float(np.mean([mean_accuracy(of, shift) for shift in shifts]))


@pytest.mark.parametrize(
    "chosen", [["fog/1", "fog/5"], ["night", "snow"], ["fog/1", "fog/5", "night", "snow"]]
)
@pytest.mark.parametrize("seeds", [1, 3])
def test_the_value_is_the_difference_of_the_gaps(chosen: list[str], seeds: int) -> None:
    method, reference = runs(seeds, 0.6), runs(seeds, 0.8, seed=1)
    pools = {shift: CORRUPTIONS[shift] for shift in ["id", *chosen]}
    result = extra_gap(method, reference, pools, draws=50)
    assert result.value == pytest.approx(gap(method, chosen) - gap(reference, chosen), rel=1e-12, abs=1e-11)
    assert result.images == sum(SIZES[pool] for pool in set(pools.values()))
    assert result.seeds == seeds


def test_a_known_case_in_points() -> None:
    right, wrong = np.ones(4, bool), np.zeros(4, bool)
    half = np.array([True, True, False, False])
    method = [{"id": right, "fog": wrong, "snow": half}]
    reference = [{"id": right, "fog": half, "snow": right}]
    pools = dict.fromkeys(["id", "fog", "snow"], "id")
    # gaps of 100 - 25 and of 100 - 75 points
    assert extra_gap(method, reference, pools, draws=10).value == 50


def test_the_reference_has_no_extra_gap_over_itself() -> None:
    same = runs(2, 0.7)
    result = extra_gap(same, same, CORRUPTIONS, draws=10)
    assert (result.value, result.low, result.high) == (0, 0, 0)


def test_one_matrix_for_each_pool() -> None:
    weights = {"id": 1.0, "fog/1": -0.5, "fog/5": -0.5, "night": 2.0}
    method, reference = runs(3, 0.6), runs(3, 0.8, seed=1)
    shared, night = contributions(method, reference, CORRUPTIONS, weights)
    assert (shared.shape, night.shape) == ((3, 400), (3, 150))
    by_hand = sum(
        weight * 100.0 * (method[2][shift][17].astype(float) - reference[2][shift][17].astype(float))
        for shift, weight in weights.items()
        if shift != "night"
    )
    assert shared[2, 17] == pytest.approx(by_hand, abs=1e-12)


def test_shifts_of_the_same_images_are_held_together() -> None:
    """A method that fails on the same images everywhere has no extra gap, and the pairing knows it."""
    lost = np.random.default_rng(0).uniform(size=400) < 0.2
    right = np.ones(400, bool)
    method, reference = [{"id": ~lost, "fog/1": ~lost}], [{"id": right, "fog/1": right}]
    paired = extra_gap(method, reference, {"id": "id", "fog/1": "id"}, draws=100)
    assert (paired.low, paired.high) == (0, 0)
    apart = extra_gap(method, reference, {"id": "id", "fog/1": "other"}, draws=2000)
    # two independent means of 400 images: 100 sqrt(2 * 0.2 * 0.8 / 400) = 2.8 points
    assert apart.stderr == pytest.approx(100 * np.sqrt(2 * lost.mean() * (1 - lost.mean()) / 400), rel=0.06)


def test_what_makes_no_sense_is_refused() -> None:
    method, reference = runs(2, 0.6), runs(2, 0.8)
    with pytest.raises(ValueError, match="one reference for each seed, got 2 and 1"):
        extra_gap(method, reference[:1], CORRUPTIONS)
    with pytest.raises(ValueError, match="'id' and at least one shift"):
        extra_gap(method, reference, {"id": "id"})
    with pytest.raises(ValueError, match="at least one shift"):
        extra_gap(method, reference, {"fog/1": "id"})
    with pytest.raises(ValueError, match=r"night: expected the same images throughout pool 'id'"):
        extra_gap(method, reference, {"id": "id", "night": "id"})
