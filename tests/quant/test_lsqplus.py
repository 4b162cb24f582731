"""LSQ+ on numbers that can be worked out by hand, and its searches for a start."""

from math import sqrt

import pytest
import torch

from flatqat.quant.base import Quantizer
from flatqat.quant.lsqplus import LSQPlus
from tests.helpers.observers import calibrated, observed


def test_lsqplus_inputs_by_hand():
    """2 bits, s = 0.5, β = −0.25: levels −0.25, 0.25, 0.75, 1.25."""
    q = LSQPlus(bits=2, role="input")
    q.set_range(torch.tensor(-0.25), torch.tensor(1.25))
    x = torch.tensor([[-2.0, 0.1, 0.5625, 2.0]], requires_grad=True)
    assert q(x).tolist() == [[-0.25, 0.25, 0.75, 1.25]]
    g = 1 / sqrt(4 * 3)
    by_scale = [torch.autograd.grad(q(x)[0, i], q.scale)[0].item() / g for i in range(4)]
    by_offset = [torch.autograd.grad(q(x)[0, i], q.offset)[0].item() / g for i in range(4)]
    (by_x,) = torch.autograd.grad(q(x).sum(), x)
    assert by_scale == pytest.approx([0, 1 - 0.7, 2 - 1.625, 3], rel=1e-5)
    assert by_offset == pytest.approx([1, 0, 0, 1])
    assert by_x.tolist() == [[0, 1, 1, 0]]


def test_lsqplus_weights_start_at_three_deviations():
    """max(|μ − 3σ|, |μ + 3σ|) / 2^(b−1), per channel: μ, σ = 1, 1 and −2, 3 give 4/4 and 11/4."""
    q = LSQPlus(bits=3, role="weight", scale_shape=(2, 1))
    values = torch.tensor([[0.0, 2.0], [1.0, -5.0]])
    q.calibrate(observed(values, scale_shape=(2, 1)))
    assert q.scale.flatten().tolist() == pytest.approx([1, 11 / 4])
    assert q.offset is None


def test_lsqplus_inputs_start_lower_in_error_than_with_one_fraction():
    """Swish-like values: a short negative tail, a long positive one."""
    v = torch.randn(4000, generator=torch.Generator().manual_seed(0)) * 3
    values = v * v.sigmoid()

    def error(q: Quantizer) -> float:
        return (q(values) - values).square().mean().item()

    one_fraction = LSQPlus(bits=2, role="input")
    Quantizer._search(one_fraction, observed(values))
    own, mse, minmax = (error(calibrated(LSQPlus, 2, values, init)) for init in ("own", "mse", "minmax"))
    assert own == mse < 0.99 * error(one_fraction) < minmax


def test_lsqplus_moves_the_upper_and_then_the_lower_end():
    """Against the same search in plain arithmetic; here it moves both ends."""
    v = torch.randn(4000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    values = torch.where(v > 0, v, -v.square())  # a light tail and a heavy one

    def error(ends: tuple[float, float]) -> float:
        step = (ends[1] - ends[0]) / 3
        codes = ((values - ends[0]) / step).round().clamp(0, 3)
        return (codes * step + ends[0] - values).square().mean().item()

    least, most = values.min().item(), values.max().item()
    fractions = [percent / 100 for percent in range(20, 101)]
    low, high = both = min(((f * least, f * most) for f in fractions), key=error)
    low, high = min([both, *((low, f * most) for f in fractions)], key=error)
    upper = high
    low, high = min([(low, high), *((f * least, high) for f in fractions)], key=error)
    assert upper != both[1]
    assert low != both[0]
    q = calibrated(LSQPlus, 2, values.float())
    assert q.offset.item() == pytest.approx(low, rel=1e-5)
    assert q.offset.item() + 3 * q.scale.item() == pytest.approx(high, rel=1e-5)
