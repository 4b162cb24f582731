"""Ranges by percentile, against numpy's quantiles."""

import numpy as np
import pytest
import torch

from flatqat.quant.apply import calibrate, quantize_
from flatqat.quant.lsq import LSQ
from flatqat.quant.minmax import MinMax
from flatqat.spec import QuantSpec
from tests.helpers.observers import observed

VALUES = torch.randn(4, 999, generator=torch.Generator().manual_seed(0)) ** 3


@pytest.mark.parametrize("percentile", [50.0, 97.3, 99.9, 100.0])
def test_weights_per_channel_end_at_the_larger_of_both_percentiles(percentile):
    q = LSQ(bits=4, role="weight", scale_shape=(4, 1))
    q.calibrate(observed(VALUES, scale_shape=(4, 1)), "percentile", percentile)
    low, high = np.percentile(VALUES.numpy(), [100 - percentile, percentile], axis=1)
    expected = np.maximum(-np.minimum(low, 0) / 8, np.maximum(high, 0) / 7)
    np.testing.assert_allclose(q.scale.detach().flatten(), expected, rtol=1e-5)


@pytest.mark.parametrize("shift", [-10.0, 0.0])
def test_affine_inputs_cover_both_percentiles_over_all_batches(shift):
    first, second = VALUES[:2] + shift, VALUES[2:] + shift
    q = MinMax(bits=8, role="input")
    q.calibrate(observed(first, second), "percentile", 99.0)
    low, high = np.percentile((VALUES + shift).numpy(), [1, 99])
    low, high = min(low, 0), max(high, 0)
    assert q.scale.item() == pytest.approx((high - low) / 255, rel=1e-5)
    assert q.qmin == -round(-low / q.scale.item())


def test_inputs_that_were_never_negative_stay_unsigned():
    q = LSQ(bits=4, role="input")
    q.calibrate(observed(VALUES.relu()), "percentile", 99.0)
    assert (q.qmin, q.qmax) == (0, 15)
    assert q.scale.item() == pytest.approx(np.percentile(VALUES.relu().numpy(), 99) / 15, rel=1e-5)


@pytest.mark.parametrize("quantizer", [LSQ, MinMax])
def test_all_of_the_values_is_minmax(quantizer):
    scales = []
    for range_init in ("minmax", "percentile"):
        q = quantizer(bits=4, role="weight", scale_shape=(4, 1))
        q.calibrate(observed(VALUES, scale_shape=(4, 1)), range_init, 100.0)
        scales.append(q.scale.detach())
    assert torch.equal(*scales)


def test_a_model_takes_the_percentile_for_weights_and_inputs():
    images = torch.randn(8, 5, generator=torch.Generator().manual_seed(1)) ** 3
    scales = []
    for percentile in (99.9, 80.0):
        net = torch.nn.Sequential(torch.nn.Linear(5, 3))
        with torch.no_grad():
            net[0].weight.copy_(VALUES[:3, :5])
        quantize_(net, QuantSpec(weight_bits=4, act_bits=4, keep=()))
        calibrate(net, [images], "percentile", percentile)
        scales.append((net[0].parametrizations.weight[0].scale, net[0].input_quantizer.scale))
    assert all((small < large).all() for large, small in zip(*scales, strict=True))
    expected = np.percentile(images.numpy(), [20, 80])
    assert scales[1][1].item() == pytest.approx(max(-expected[0] / 8, expected[1] / 7), rel=1e-5)
