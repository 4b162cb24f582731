"""The calibration error against a loop over its bins, edges included."""

import numpy as np
import pytest

from flatqat.metrics.calibration import expected_calibration_error


@pytest.mark.parametrize("bins", [1, 2, 15])
def test_ece_is_the_sum_over_bins_closed_on_the_right(bins: int) -> None:
    rng = np.random.default_rng(0)
    on_the_edges = np.arange(1, bins + 1) / bins
    confidence = np.concatenate([rng.uniform(0.01, 1, 200), on_the_edges])
    correct = rng.uniform(size=len(confidence)) < 0.5  # too sure above one half, not sure enough below
    expected = 0.0
    for b in range(bins):
        inside = [i for i, c in enumerate(confidence) if b / bins < c <= (b + 1) / bins]
        if inside:
            accuracy = sum(bool(correct[i]) for i in inside) / len(inside)
            mean_confidence = sum(confidence[i] for i in inside) / len(inside)
            expected += len(inside) / len(confidence) * abs(accuracy - mean_confidence)
    assert expected_calibration_error(confidence, correct, bins=bins) == pytest.approx(expected, rel=1e-12)


def test_a_confidence_on_an_edge_belongs_to_the_bin_below() -> None:
    apart = expected_calibration_error(np.array([5 / 15, 0.35]), np.array([True, False]))
    assert apart == pytest.approx((10 / 15 + 0.35) / 2, rel=1e-12)
    together = expected_calibration_error(np.array([5 / 15, 0.3]), np.array([True, False]))
    assert together == pytest.approx((10 / 15 - 0.3) / 2, rel=1e-12)
