"""What a row of the gate says to catch, beside how often drawn drops trip it."""

import numpy as np
import pytest
from scipy.stats import nct as noncentral
from scipy.stats import norm
from scipy.stats import t as student

from flatqat.bench.gate.compare import Row, Rules, compare, judge
from flatqat.bench.gate.power import catches
from flatqat.metrics.miou import miou, pseudo_values
from tests.bench.gate.test_compare import estimate, row
from tests.helpers.records import shift_info
from tests.helpers.slow import slow

ID = {"id": shift_info("id")}
FIXED = Rules(evaluation_only=True)


@pytest.mark.parametrize("max_drop", [0.5, *slow(0.0, 3.0)])
def test_catches_is_the_drop_found_in_four_of_five_runs(max_drop):
    """Drawn: the change of a true drop is normal around it, and trips as `judge` says."""
    rules, stderr = Rules(max_drop=max_drop, p=0.01), 0.4
    caught = catches(estimate(stderr), max_drop=max_drop, level=0.01 / 12)
    threshold = max(max_drop, stderr * norm.isf(0.01 / 12 / 2))
    assert caught == pytest.approx(threshold + stderr * norm.isf(0.2), rel=1e-4)
    changes = np.random.default_rng(0).normal(-caught, stderr, 400)
    others = [row(80, 80, stderr)] * 11
    trips = [judge([row(80, 80 + change, stderr), *others], rules)[0].verdict for change in changes]
    assert 0.74 < np.mean([verdict == "regressed" for verdict in trips]) < 0.86


def test_with_few_seeds_it_is_that_of_the_noncentral_t():
    """The sum of two quantiles of t would be 11% too small."""
    few = estimate(0, seed_variance=0.16, seed_freedom=4)
    caught = catches(few, max_drop=0.0, level=0.01 / 10)
    threshold = student.isf(0.005 / 10, 4)
    assert noncentral.sf(threshold, 4, caught / 0.4) == pytest.approx(0.8, abs=0.005)


@pytest.mark.parametrize("max_drop", [0.0, 2.0, 5.0])
def test_with_few_seeds_and_a_tolerance_it_is_found_in_four_of_five_runs(max_drop):
    """200,000 draws of the change and of its standard error: 0.1% of standard error."""
    few = estimate(0, seed_variance=0.16, seed_freedom=4)
    caught = catches(few, max_drop=max_drop, level=0.01 / 10)
    rng = np.random.default_rng(0)
    drops, stderr = rng.normal(caught, 0.4, 200_000), 0.4 * np.sqrt(rng.chisquare(4, 200_000) / 4)
    trips = drops > np.maximum(max_drop, student.isf(0.005 / 10, 4) * stderr)
    assert trips.mean() == pytest.approx(0.8, abs=0.005)


@pytest.mark.parametrize("max_drop", [0.0, 0.5])
def test_identical_runs_catch_what_takes_enough_images(max_drop):
    """Drawn: d points of 400 images are lost, and nothing else changes."""
    rules = Rules(evaluation_only=True, max_drop=max_drop)
    right = np.ones(400, bool)
    (same,) = compare("c", ID, {0: {"id": right}}, {0: {"id": right}}, rules)
    assert (same.p, same.estimate.stderr) == (1, 0)
    caught = judge([same], rules)[0].catches
    assert 1.5 < caught < 4
    rng, trips = np.random.default_rng(0), []
    for _ in range(400):
        now = {"id": rng.random(400) >= caught / 100}
        rows = compare("c", ID, {0: {"id": right}}, {0: now}, rules)
        trips.append(judge(rows, rules)[0].verdict == "regressed")
    assert 0.78 < np.mean(trips) < 0.98


def test_a_drop_that_the_score_has_no_room_for_is_not_caught():
    assert judge([row(2.0, 2.0, 1.0)], Rules())[0].catches is None
    assert judge([row(4.5, 4.5, 1.0)], Rules())[0].catches == pytest.approx(
        norm.isf(0.005) + norm.isf(0.2), 1e-3
    )


class Streets:
    """Images of three classes in two networks: each is right on pixels of its own, and the second loses more.

    An image loses the share `loss` times a draw of the exponential distribution of its right pixels.
    """

    def __init__(self, images: int, jitter: float) -> None:
        rng = np.random.default_rng(7)
        self.jitter, self.pixels = jitter, 1 + rng.gamma(0.7, 3000, size=(images, 3)).astype(int)
        self.right = np.clip(0.75 + 0.1 * rng.normal(size=(images, 3)), 0, 1)

    def counts(self, rng: np.random.Generator, loss: float) -> np.ndarray:
        noisy = np.clip(self.right + self.jitter * rng.normal(size=self.right.shape), 0, 1)
        kept = 1 - np.clip(loss * rng.exponential(size=(len(noisy), 1)), 0, 1)
        hits = np.floor(self.pixels * noisy * kept)
        wrong = self.pixels - hits
        return np.stack([hits, self.pixels + np.roll(wrong, 1, axis=1)], axis=1)

    def row(self, rng: np.random.Generator, loss: float) -> Row:
        sides = [{0: {"id": pseudo_values(self.counts(rng, lost))}} for lost in (0.0, loss)]
        (made,) = compare("c", ID, *sides, FIXED, whole=False)
        return made

    def drop(self, rng: np.random.Generator, loss: float) -> float:
        """The mean drop in points."""
        scores = [[miou(self.counts(rng, lost).sum(axis=0)) for _ in range(200)] for lost in (0.0, loss)]
        return float(100 * (np.mean(scores[0]) - np.mean(scores[1])))


@pytest.mark.parametrize("images", [25, 100])
@pytest.mark.parametrize("jitter", [0.02, 0.1])
def test_a_planted_drop_of_miou_is_found_as_often_as_said(images, jitter):
    streets, rng = Streets(images, jitter), np.random.default_rng(0)
    said = float(np.mean([judge([streets.row(rng, 0.0)], FIXED)[0].catches for _ in range(20)]))
    loss = 0.02 * said / streets.drop(rng, 0.02)
    loss *= said / streets.drop(rng, loss)
    trips = [judge([streets.row(rng, loss)], FIXED)[0].verdict == "regressed" for _ in range(300)]
    assert 0.72 < np.mean(trips) < 0.92


@pytest.mark.parametrize(("max_drop", "least", "most"), [(0.5, 0.5, 1.0), (0.0, 0.0, 0.001)])
def test_identical_miou_catches_little_more_than_the_tolerance(max_drop, least, most):
    """By whole images it would be more than 10 points, as if 40 images could only be right or wrong."""
    rules, streets = Rules(evaluation_only=True, max_drop=max_drop), Streets(200, 0.0)
    values = {0: {"id": pseudo_values(streets.counts(np.random.default_rng(0), 0.0))}}
    (verdict,) = judge(compare("c", ID, values, values, rules, whole=False), rules)
    assert least <= verdict.catches <= most


def test_losses_of_few_images_with_uneven_classes_may_never_be_found():
    values = {0: {"id": np.array([0.05, 0.0, 3.0, 0.05, 0.1])}}
    (verdict,) = judge(compare("c", ID, values, values, FIXED, whole=False), FIXED)
    assert verdict.catches is None
