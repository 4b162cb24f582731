"""Contributions of images against weighted sums of metrics, for suites of one image set and of many."""

import numpy as np
import pytest

from flatqat.metrics.components import Components
from flatqat.metrics.contributions import _counted, _weighted, contributions, gap_weights
from flatqat.metrics.metric import METRICS

IMAGE_SETS = {"id": "id", "fog/1": "id", "fog/5": "id", "night": "night", "snow": "snow"}
SIZES = {"id": 400, "night": 150, "snow": 90}


def runs(seeds, accuracy, seed=0):
    rng = np.random.default_rng(seed)
    return [{s: rng.random(SIZES[IMAGE_SETS[s]]) < accuracy for s in IMAGE_SETS} for _ in range(seeds)]


def gap(of, shifts):
    top1 = {s: 100 * np.mean([run[s].mean() for run in of]) for s in IMAGE_SETS}
    return top1["id"] - np.mean([top1[s] for s in shifts])


@pytest.mark.parametrize(
    "shifts", [["fog/1", "fog/5"], ["night", "snow"], ["fog/1", "fog/5", "night", "snow"]]
)
@pytest.mark.parametrize("seeds", [1, 3])
def test_their_means_are_the_gaps_and_a_difference_is_the_extra_gap(shifts, seeds):
    both = [runs(seeds, 0.8), runs(seeds, 0.6, seed=1)]
    components = Components.of(contributions(both, IMAGE_SETS, gap_weights(shifts)))
    assert components.means == pytest.approx([gap(of, shifts) for of in both], rel=1e-10)
    assert components.difference(1, 0).value == pytest.approx(gap(both[1], shifts) - gap(both[0], shifts))
    assert components.images == sum(SIZES[name] for name in {IMAGE_SETS[s] for s in ["id", *shifts]})


def test_shifts_of_one_image_set_are_one_column():
    of = [runs(2, 0.7)]
    weights = {"id": 1.0, "fog/1": -0.5, "fog/5": -0.5, "night": 2.0}
    shared, night = contributions(of, IMAGE_SETS, weights)
    assert (shared.shape, night.shape) == ((1, 2, 400), (1, 2, 150))
    by_hand = 100 * sum(weights[s] * float(of[0][1][s][17]) for s in ("id", "fog/1", "fog/5"))
    assert shared[0, 1, 17] == pytest.approx(by_hand)


def test_what_is_lost_on_the_same_images_everywhere_leaves_no_error():
    lost, whole = np.arange(40) % 3 > 0, np.ones(40, bool)
    both = [[{"id": whole, "fog": whole}], [{"id": lost, "fog": lost}]]
    together = Components.of(contributions(both, {"id": "a", "fog": "a"}, gap_weights(["fog"])))
    apart = Components.of(contributions(both, {"id": "a", "fog": "b"}, gap_weights(["fog"])))
    assert together.difference(1, 0).stderr == 0
    assert apart.difference(1, 0).stderr > 5


def test_of_miou_the_means_are_miou():
    rng = np.random.default_rng(0)
    union = rng.integers(50, 90, size=(30, 1, 4))
    counts = np.concatenate([rng.integers(0, 50, size=(30, 1, 4)), union], axis=1)
    (pool,) = contributions([[{"id": counts}]], {"id": "id"}, {"id": 1.0}, METRICS["miou"].values)
    total = counts.sum(axis=0)
    assert pool.mean() == pytest.approx(100 * (total[0] / total[1]).mean())


def test_other_images_or_seeds_are_refused():
    with pytest.raises(ValueError, match="the same seeds for each method, got"):
        contributions([runs(2, 0.5), runs(3, 0.5)], IMAGE_SETS, {"id": 1.0})
    with pytest.raises(ValueError, match="fog/1: expected the same images throughout 'id'"):
        contributions([[{"id": np.ones(4), "fog/1": np.ones(5)}]], IMAGE_SETS, {"id": 1.0, "fog/1": 1.0})


@pytest.mark.parametrize("block", [1, 280, 360, 2**18])  # 2, 7 and 9 images of 50
@pytest.mark.parametrize("seeds", [1, 3])
@pytest.mark.parametrize("kind", [bool, float])
def test_sums_are_to_the_bit_those_of_adding_shift_by_shift(monkeypatch, block, seeds, kind):
    monkeypatch.setattr("flatqat.metrics.contributions.BLOCK", block)
    rng = np.random.default_rng(0)
    shifts = [f"fog/{k}" for k in range(40)]
    draws = rng.random((seeds, 40, 50))
    of = [dict(zip(shifts, rows if kind is float else rows < 0.7, strict=True)) for rows in draws]
    weights = dict(zip(shifts, rng.normal(size=40).tolist(), strict=True))
    (pool,) = contributions([of], dict.fromkeys(shifts, "id"), weights)
    expected = np.zeros((seeds, 50))
    for shift in shifts:
        expected = expected + 100 * weights[shift] * np.array([run[shift] for run in of])
    assert (pool[0] == expected).all()


@pytest.mark.parametrize("shifts", [2, 3, 75, 300])
@pytest.mark.parametrize("shape", [(50,), (3, 50), (4, 2), (2, 1)])
@pytest.mark.parametrize(("first", "other"), [(0.1, 0.1), (-1 / 75, -1 / 75), (1.0, -1 / 75), (0.0, 0.3)])
def test_right_images_are_counted_to_the_bit_of_adding_them(monkeypatch, shifts, shape, first, other):
    table = np.random.default_rng(0).random((shifts, *shape)) < 0.7
    weights = [first, *[other] * (shifts - 1)]
    counted = _weighted(table, weights)
    calls = []
    monkeypatch.setattr(
        "flatqat.metrics.contributions._counted", lambda *args: calls.append(args) or _counted(*args)
    )
    assert (_weighted(table, weights).view(np.int64) == counted.view(np.int64)).all()
    assert len(calls) == (shape[-1] > 1)
    added = _weighted(table.astype(float), weights)
    assert len(calls) == (shape[-1] > 1)
    assert (added.view(np.int64) == counted.view(np.int64)).all()
