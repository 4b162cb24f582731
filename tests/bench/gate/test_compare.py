"""The rows of the gate: contributions, power, and runs whose weights are the same."""

import numpy as np
import pytest

from flatqat.bench.gate.compare import Row, Rules, compare, judge
from flatqat.errors import UsageError
from flatqat.metrics.estimate import Estimate
from tests.helpers.records import shift_info

SHIFTS = {
    "id": shift_info("id"),
    "fog/1": shift_info("weather", severity=1),
    "fog/2": shift_info("weather", severity=2),
    "night": shift_info("night", image_set="others"),
    "aside": shift_info("extra", in_mean=False),
}
SIZES = {"id": 400, "others": 300}


def runs(seeds, quality=0.8):
    made = {}
    for seed in seeds:
        rng = np.random.default_rng(seed)
        made[seed] = {s: rng.random(SIZES[info.image_set]) < quality for s, info in SHIFTS.items()}
    return made


def estimate(stderr, images=10**6, **fields):
    defaults = {"value": 0.0, "seed_variance": 0.0, "seed_freedom": 1e9, "seeds": 1, "images": images}
    return Estimate(**{**defaults, "image_variance": stderr**2, "image_freedom": images - 1, **fields})


def row(before, now, stderr):
    of = estimate(stderr, value=now - before)
    return Row(
        cell="c",
        what="id",
        before=before,
        now=now,
        seeds_before=1,
        seeds_now=1,
        estimate=of,
        p=of.p,
    )


def test_rows_are_means_over_shifts_of_means_over_seeds():
    before, now = runs([0, 1, 2]), runs([5, 6], 0.7)
    rows = {row.what: row for row in compare("c", SHIFTS, before, now, Rules())}
    assert list(rows) == ["id", "ood", "weather", "night"]
    for what, shifts in (
        ("id", ["id"]),
        ("ood", ["fog/1", "fog/2", "night"]),
        ("weather", ["fog/1", "fog/2"]),
    ):
        means = [np.mean([np.mean([run[s].mean() for s in shifts]) for run in side.values()])
                 for side in (before, now)]  # fmt: skip
        assert rows[what].before == pytest.approx(100 * means[0], rel=1e-12)
        assert rows[what].now == pytest.approx(100 * means[1], rel=1e-12)
        assert rows[what].estimate.value == pytest.approx(100 * (means[1] - means[0]), rel=1e-9)
    assert rows["ood"].estimate.images == 700
    assert rows["weather"].estimate.images == 400
    assert (rows["id"].seeds_before, rows["id"].seeds_now) == (3, 2)


def test_a_family_may_have_the_name_of_another_row():
    families = {"id": "id", "fog/1": "ood", "night": "id"}
    shifts = {s: shift_info(f, image_set=SHIFTS[s].image_set) for s, f in families.items()}
    rows = compare("c", shifts, runs([0]), runs([1]), Rules())
    assert [row.what for row in rows] == ["id", "ood", "ood", "id"]


def test_the_scatter_of_seeds_counts_with_several_and_the_given_one_with_a_single_seed():
    (several, *_) = compare("c", SHIFTS, runs([0, 1, 2]), runs([3, 4, 5]), Rules(retraining_sd=9))
    means = [[100 * run["id"].mean() for run in runs(seeds).values()] for seeds in ([0, 1, 2], [3, 4, 5])]
    scatter = np.mean([np.var(side, ddof=1) for side in means])
    assert several.estimate.seed_variance == pytest.approx(scatter * 2 / 3, rel=1e-9)
    assert several.estimate.seed_freedom == 4
    (single, *_) = compare("c", SHIFTS, runs([0]), runs([1]), Rules(retraining_sd=0.75))
    assert single.estimate.seed_variance == pytest.approx(2 * 0.75**2)
    (default, *_) = compare("c", SHIFTS, runs([0]), runs([1]), Rules())
    assert default.estimate == single.estimate


@pytest.mark.parametrize("nested", [False, True])
def test_with_the_same_weights_images_alone_are_random(nested):
    before, now = runs([0, 1]), runs([2, 3], 0.7)
    now = dict(zip(before, now.values(), strict=True))
    (row, *_) = compare("c", SHIFTS, before, now, Rules(evaluation_only=True), nested=nested)
    differences = np.array([now[s]["id"].astype(float) - before[s]["id"] for s in before]) * 100
    of_each = [d.var(ddof=1) / 400 / 4 for d in differences]
    variance = 2 * sum(of_each) if nested else differences.mean(axis=0).var(ddof=1) / 400
    assert row.estimate.seed_variance == 0
    assert row.estimate.image_variance == pytest.approx(variance, rel=1e-9)


def test_one_seed_of_a_split_by_seed_has_the_same_images_on_both_sides():
    before, now = runs([0]), {0: runs([1])[1]}
    split = compare("c", SHIFTS, before, now, Rules(), nested=True)
    assert split == compare("c", SHIFTS, before, now, Rules())
    other = compare("c", SHIFTS, before, {1: now[0]}, Rules(), nested=True)
    assert other[0].estimate.image_variance != split[0].estimate.image_variance


def test_a_true_drop_of_just_the_tolerance_is_caught_half_the_time():
    rules = Rules(max_drop=2.0)
    changes = np.random.default_rng(0).normal(-2.0, 0.1, 400)
    trips = [judge([row(80, 80 + change, 0.1)], rules)[0].verdict for change in changes]
    assert 0.43 < np.mean([verdict == "regressed" for verdict in trips]) < 0.57


def test_nothing_is_caught_at_a_level_of_zero():
    assert judge([row(80, 80, 0.4)], Rules(p=0))[0].catches is None
    assert judge([row(80, 20, 0.4)], Rules(p=0))[0].verdict == "undecided"
    assert judge([row(20, 80, 0.4)], Rules(p=0))[0].verdict == "ok"


def test_a_p_value_of_just_the_level_is_not_below_it():
    one = row(80, 70, 3)
    assert judge([one], Rules(p=one.p))[0].verdict == "undecided"
    assert judge([one], Rules(p=one.p + 1e-9))[0].verdict == "regressed"


def test_each_of_several_rows_catches_what_one_does_at_its_part_of_the_level():
    one = row(80, 80, 0.4)
    assert judge([one] * 4, Rules(p=0.04))[0].catches == judge([one], Rules(p=0.01))[0].catches


def test_a_drop_of_just_the_tolerance_passes_whatever_its_last_digit():
    assert judge([row(80, 79.5 - 1e-13, 1e-3)], Rules(max_drop=0.5))[0].verdict == "ok"
    assert judge([row(80, 79.5 - 1e-6, 1e-3)], Rules(max_drop=0.5))[0].verdict == "regressed"


def test_an_improvement_is_no_regression():
    assert judge([row(80, 85, 0.1)], Rules())[0].verdict == "improved"


@pytest.mark.parametrize("field", ["max_drop", "p", "retraining_sd"])
def test_rules_are_finite(field):
    with pytest.raises(UsageError, match=f"--{field.replace('_', '-')}: expected a finite number, got nan"):
        Rules(**{field: float("nan")})
