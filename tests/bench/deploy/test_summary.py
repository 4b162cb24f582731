"""The sums of a run by set, family and over all, against direct computations from outcomes."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from flatqat.bench.deploy.agreement import Agreement
from flatqat.bench.deploy.summary import SetOutcome, Side, summed_up
from flatqat.metrics.metric import METRICS
from flatqat.metrics.miou import miou
from flatqat.spec import CodeFlips
from tests.helpers.records import shift_info

N = 40
SHIFTS = {
    "id": shift_info("id"),
    "fog/1": shift_info("weather", severity=1),
    "fog/2": shift_info("weather", severity=2),
    "night": shift_info("night", image_set="night"),
    "extra": shift_info("extra", in_mean=False),
}


def logits_of(predicted: np.ndarray) -> torch.Tensor:
    return torch.nn.functional.one_hot(torch.from_numpy(predicted), 3).float()


def seen_of(rng: np.random.Generator, images: int = N) -> SetOutcome:
    labels, cell = rng.integers(3, size=images), rng.integers(3, size=images)
    file = np.where(rng.random(images) < 0.8, cell, rng.integers(3, size=images))
    agreement = Agreement()
    agreement.add(logits_of(cell), logits_of(file), torch.from_numpy(labels))
    sides = [Side(value=100 * float((p == labels).mean()), outcome=p == labels) for p in (cell, file)]
    return SetOutcome(cell=sides[0], file=sides[1], agreement=agreement)


@pytest.fixture
def seen() -> dict[str, SetOutcome]:
    rng = np.random.default_rng(0)
    return {name: seen_of(rng, 25 if name == "night" else N) for name in SHIFTS}


def difference(one: SetOutcome) -> np.ndarray:
    """What each image adds to the change, in points."""
    return 100 * (one.file.outcome.astype(float) - one.cell.outcome.astype(float))


def interval(*pools: np.ndarray) -> tuple[float, float]:
    """Student's interval of a sum of means of independent pools."""
    half = stats.t.ppf(0.975, min(map(len, pools)) - 1) * math.sqrt(
        sum(np.var(p, ddof=1) / len(p) for p in pools)
    )
    middle = sum(p.mean() for p in pools)
    return middle - half, middle + half


@pytest.mark.parametrize(("name", "images", "change"), [("night", 25, 0.0), ("id", N, -5.0)])
def test_a_set_has_the_interval_of_paired_differences(seen, name, images, change):
    found = summed_up(seen, SHIFTS, METRICS["top1"]).shifts[name]
    assert (found.images, found.predictions) == (images, images)
    assert found.change == pytest.approx(difference(seen[name]).mean()) == pytest.approx(change)
    assert (found.low, found.high) == pytest.approx(interval(difference(seen[name])))
    assert found.agreement == 100 * seen[name].agreement.equal / images


def test_a_family_pairs_the_images_that_its_shifts_share(seen):
    families = summed_up(seen, SHIFTS, METRICS["top1"]).families
    assert list(families) == ["id", "weather", "night", "extra"]
    both = (difference(seen["fog/1"]) + difference(seen["fog/2"])) / 2
    found = families["weather"]
    assert (found.low, found.high) == pytest.approx(interval(both))
    assert found.cell == pytest.approx((seen["fog/1"].cell.value + seen["fog/2"].cell.value) / 2)
    equal = seen["fog/1"].agreement.equal + seen["fog/2"].agreement.equal
    assert (found.images, found.agreement) == (2 * N, pytest.approx(100 * equal / (2 * N)))


def test_over_all_sets_agreement_counts_every_image_and_the_metric_is_ood(seen):
    codes = CodeFlips(images=1, layers=2, codes=3, differing=0, largest=0)
    run = summed_up(seen, SHIFTS, METRICS["top1"], codes)
    found, ood = run.all, ["fog/1", "fog/2", "night"]
    assert run.codes is codes
    assert found.predictions == 4 * N + 25
    assert found.agreement == pytest.approx(
        100 * sum(s.agreement.equal for s in seen.values()) / (4 * N + 25)
    )
    assert found.file == pytest.approx(np.mean([seen[name].file.value for name in ood]))
    shared = (difference(seen["fog/1"]) + difference(seen["fog/2"])) / 3
    assert (found.low, found.high) == pytest.approx(interval(shared, difference(seen["night"]) / 3))


def test_miou_has_the_interval_of_its_jackknife():
    rng = np.random.default_rng(1)
    counts = []
    for _ in range(2):
        both = rng.integers(1, 50, size=(12, 3))
        counts.append(np.stack([both, both + rng.integers(0, 30, size=(12, 3))], axis=1))
    values = [100 * float(miou(c.sum(axis=0))) for c in counts]
    sides = [Side(value=value, outcome=c) for value, c in zip(values, counts, strict=True)]
    one = SetOutcome(cell=sides[0], file=sides[1], agreement=Agreement())
    found = summed_up({"id": one}, SHIFTS, METRICS["miou"]).shifts["id"]
    left_out = np.array(
        [100 * miou(counts[1].sum(axis=0) - counts[1][i]) - 100 * miou(counts[0].sum(axis=0) - counts[0][i])
         for i in range(12)]
    )  # fmt: skip
    half = stats.t.ppf(0.975, 11) * math.sqrt(11 / 12 * np.square(left_out - left_out.mean()).sum())
    assert found.high - found.low == pytest.approx(2 * half)
    assert found.change == pytest.approx(values[1] - values[0])


def test_what_is_not_finite_is_left_unknown():
    agreement = Agreement()
    agreement.add(torch.tensor([[0.0, 1.0]]), torch.tensor([[math.nan, 1.0]]), torch.tensor([1]))
    side = Side(value=100.0, outcome=np.array([True]))
    found = summed_up({"id": SetOutcome(cell=side, file=side, agreement=agreement)}, SHIFTS, METRICS["top1"])
    one = found.shifts["id"]
    assert (one.largest, one.relative, one.low, one.high) == (None, None, None, None)
    assert (one.agreement, one.change) == (0.0, 0.0)
    assert (found.all.cell, found.all.change) == (None, None)  # there is no shift
