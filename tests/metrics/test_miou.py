"""mIoU as a function of counts: the values of its images, their spread, and means over several shifts."""

import numpy as np
import pytest
from scipy import stats

from flatqat.metrics.influence import ratio
from flatqat.metrics.miou import miou, pooled_shares, pseudo_values

CLASSES = 4


def counts(n: int, quality: float, seed: int = 0, common: int = 0) -> np.ndarray:
    """(n, 2, C): unions of very different size, hits that go together in an image; the last class absent."""
    truth = np.random.default_rng(common).gamma(0.5, 400, size=(n, CLASSES)).astype(int) + 1
    hard = np.random.default_rng(common + 1).uniform(0.5, 1, size=(n, 1))
    share = np.clip(quality * hard + 0.05 * np.random.default_rng(seed).normal(size=(n, CLASSES)), 0, 1)
    both = np.stack([(truth * share).astype(int), truth], axis=1)
    both[:, :, -1] = 0
    return both


def by_hand(of: np.ndarray) -> float:
    hits, union = of.sum(axis=0)
    return float(np.mean([h / u for h, u in zip(hits, union, strict=True) if u]))


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


def test_their_mean_is_miou_and_their_error_the_jackknifes() -> None:
    of = counts(12, 0.7)
    values = pseudo_values(of)
    left_out = np.array([by_hand(np.delete(of, i, axis=0)) for i in range(12)])
    assert values.mean() == pytest.approx(by_hand(of), rel=1e-12)
    jackknife = 11 / 12 * ((left_out - left_out.mean()) ** 2).sum()
    assert values.var(ddof=1) / 12 == pytest.approx(jackknife, rel=1e-9)


def test_a_class_that_one_image_shows_counts_with_all_it_can_do() -> None:
    """Without that image mIoU is the mean over one class fewer: the derivative would see a small change."""
    of = counts(40, 0.8)
    alone = of.copy()
    alone[3, :, -1] = (1, 100)
    assert pseudo_values(alone).std() > 3 * pseudo_values(of).std()


def test_without_two_labeled_images_there_are_none() -> None:
    of = np.zeros((3, 2, 4))
    assert np.isnan(pseudo_values(of)).all()
    of[1, :, 0] = 7
    assert np.isnan(pseudo_values(of)).all()


def test_with_equal_unions_it_is_a_mean_over_images() -> None:
    hits = np.random.default_rng(0).integers(0, 51, size=(20, 3))
    of = np.stack([hits, np.full((20, 3), 50)], axis=1)
    assert pseudo_values(of) == pytest.approx((hits / 50).mean(axis=1), rel=1e-10)


def test_ratio_of_sums() -> None:
    a, b = np.array([1.0, 3.0]), np.array([2.0, 6.0])
    r, influence = ratio(a, b)
    assert (float(r), influence.tolist()) == (0.5, [0, 0])


def test_false_alarms_of_pseudo_values_come_at_their_rate() -> None:
    """Two models alike, 60 images, 600 repeats at p < 0.05: 30 expected, sd 5.3; within four of them."""
    alarms = 0
    for repeat in range(600):
        one, other = (counts(60, 0.8, seed=2 * repeat + k, common=1000 + repeat) for k in (0, 1))
        alarms += stats.ttest_rel(pseudo_values(one), pseudo_values(other)).pvalue < 0.05
    assert 9 <= alarms <= 51
