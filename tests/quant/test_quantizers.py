"""LSQ and min-max: starting points, gradient scales, ranges."""

from math import sqrt

import pytest
import torch

from flatqat import registry, testing
from flatqat.quant.apply import calibrate, quantize_, quantizers
from flatqat.quant.lsq import LSQ
from flatqat.quant.lsqplus import LSQPlus
from flatqat.quant.minmax import MinMax
from flatqat.quant.n2uq import N2UQ
from flatqat.quant.observe import Observer
from flatqat.spec import QuantSpec
from tests.helpers.observers import observed


@pytest.mark.parametrize("name", registry.names(registry.QUANTIZERS))
@pytest.mark.parametrize("check", testing.CHECKS[registry.QUANTIZERS], ids=lambda c: c.__name__)
def test_contract(name, check):
    check(registry.load(registry.QUANTIZERS, name))


def test_lsq_starts_at_twice_the_mean_magnitude_over_the_root_of_the_top_level():
    q = LSQ(bits=2, role="weight")
    q.calibrate(observed(torch.tensor([0.8, -0.8])))
    assert q.scale.item() == pytest.approx(1.6, rel=1e-7)  # float32


@pytest.mark.parametrize(("scale_shape", "means"), [((), 2.5), ((2, 1), [[1], [4]]), ((1, 2), [[2, 3]])])
@pytest.mark.parametrize(("quantizer", "factor"), [(LSQ, 2 / sqrt(3)), (N2UQ, 2 * (7 / 4) / 7)])
def test_weights_start_from_the_mean_magnitude_of_those_that_share_a_scale(
    quantizer, factor, scale_shape, means
):
    """3 bits: 2 mean|w| / sqrt(3) of LSQ; 2 γ mean|w| / 7 with γ = 7/4 of N2UQ."""
    q = quantizer(bits=3, role="weight", scale_shape=scale_shape)
    q.calibrate(observed(torch.tensor([[1.0, -1.0], [3.0, 5.0]]), scale_shape=scale_shape), "own")
    torch.testing.assert_close(q.scale.detach(), factor * torch.tensor(means, dtype=torch.float32))


def test_lsq_starts_inputs_from_the_first_batch():
    q = LSQ(bits=4, role="input")
    q.calibrate(observed(torch.full((2, 3), 1.0), torch.full((2, 3), 100.0)))
    assert q.scale.item() == pytest.approx(2 / sqrt(15), rel=1e-6)


@pytest.mark.parametrize(
    ("role", "scale_shape", "shape", "expected"),
    [
        ("weight", (), (4,), 1 / sqrt(4 * 1)),
        ("weight", (8, 1, 1, 1), (8, 3, 3, 3), 1 / sqrt(27 * 1)),
        ("input", (), (16, 3, 4, 4), 1 / sqrt(48 * 1)),
    ],
)
def test_lsq_gradient_scale_counts_what_shares_a_step(role, scale_shape, shape, expected):
    assert LSQ(bits=2, role=role, scale_shape=scale_shape).grad_scale(torch.zeros(shape)) == expected
    if role == "weight":
        assert LSQPlus(bits=2, role=role, scale_shape=scale_shape).grad_scale(torch.zeros(shape)) == expected


@pytest.mark.parametrize(("signed", "top"), [(True, 7), (False, 15)])
def test_lsq_gradient_scale_has_the_top_level(signed, top):
    q = LSQ(bits=4, role="input")
    q.set_signed(signed)
    assert q.grad_scale(torch.zeros(16, 3, 4, 4)) == 1 / sqrt(48 * top)


def test_lsq_multiplies_the_scale_gradient_by_its_factor():
    """g = 1/sqrt(4·1) on the hand-worked sum of slopes."""
    q = LSQ(bits=2, role="weight")
    q.set_scale(torch.tensor(0.5))
    q(torch.tensor([-2, -0.6, 0.2, 0.3])).sum().backward()
    assert q.scale.grad is not None
    assert q.scale.grad.item() == pytest.approx(0.5 * (-2 + 0.2 - 0.4 + 0.4), rel=1e-6)


def test_inputs_that_are_never_negative_get_an_unsigned_grid_and_keep_it_in_the_state():
    q = LSQ(bits=3, role="input")
    q.calibrate(observed(torch.rand(8, 3)))
    assert (q.qmin, q.qmax) == (0, 7)
    fresh = LSQ(bits=3, role="input")
    fresh.load_state_dict(q.state_dict())
    assert (fresh.qmin, fresh.qmax) == (0, 7)


def test_minmax_input_grid_by_hand():
    """[-1, 2] at 2 bits: s = 3 / 3 = 1, zero point 1, levels -1, 0, 1, 2."""
    q = MinMax(bits=2, role="input")
    q.calibrate(observed(torch.tensor([[-1.0, 2.0]])))
    assert (q.scale.item(), q.qmin, q.qmax) == (1.0, -1, 2)
    assert q(torch.tensor([-5.0, -0.4, 0.6, 9.0])).tolist() == [-1, 0, 1, 2]


def test_minmax_weights_are_symmetric_per_channel():
    q = MinMax(bits=3, role="weight", scale_shape=(2, 1))
    q.calibrate(observed(torch.tensor([[3.0, -1.0], [0.3, -0.6]]), scale_shape=(2, 1)))
    torch.testing.assert_close(q.scale.flatten(), torch.tensor([1.0, 0.2]))


def test_minmax_scale_does_not_learn():
    assert not list(MinMax(bits=4, role="weight").parameters())


@torch.no_grad()
@pytest.mark.parametrize("bits", [2, 4])
@pytest.mark.parametrize("name", registry.names(registry.QUANTIZERS))
@pytest.mark.parametrize(("role", "signed"), [("weight", True), ("input", True), ("input", False)])
def test_every_grid_starts_from_the_range_asked_for(name, role, signed, bits):
    """`minmax` reaches the largest value, `mse` is nowhere farther off than `minmax`, both in the normalized
    scale where there is one. Weights of dorefa and pact have a range of their own: nothing to set."""
    v = torch.randn(3000, generator=torch.Generator().manual_seed(bits)) ** 3
    v = v if signed else v.abs()
    errors = {}
    for range_init in ("minmax", "mse"):
        q = registry.load(registry.QUANTIZERS, name)(bits=bits, role=role)
        seen = Observer((), keep_all=True)
        seen.add(v)
        q.calibrate(seen, range_init)
        errors[range_init] = (q(v) - q.normalize(v)).square().mean().item()
        if range_init == "minmax":
            top = q.dequantize(q.codes(v)).abs().max().item()
            assert top == pytest.approx(q.normalize(v).abs().max().item(), rel=0.6 / 2 ** (bits - 1))
    if role == "weight" and name in ("dorefa", "pact"):
        assert errors["mse"] == errors["minmax"]
    elif name in ("apot", "pot") and bits > 2:  # levels as dense around zero as the values are
        assert errors["mse"] <= errors["minmax"]
    else:
        assert errors["mse"] < 0.9 * errors["minmax"], "a heavy tail costs less clipped than covered"


def test_normalized_weights_are_calibrated_on_all_of_them():
    """More than a sample holds: the largest of 100,000 sets the range."""
    w = torch.randn(100_000, generator=torch.Generator().manual_seed(0))
    w[77_777] = 40.0
    layer = torch.nn.Sequential(torch.nn.Linear(100, 1000, bias=False))
    layer[0].weight.data.copy_(w.view(1000, 100))
    quantize_(layer, QuantSpec.parse("w4@apot", keep="none"))
    calibrate(layer, [], "minmax")
    (q,) = (q for _, q in quantizers(layer))
    assert q.scale.item() == pytest.approx(((40 - w.mean()) / w.std()).item(), rel=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("quantizer", [LSQ, MinMax])
def test_mse_ranges_beat_both_others(quantizer):
    """A heavy tail: covering it costs more than clipping it. Compared with a brute-force search."""
    values = torch.randn(4, 2000, generator=torch.Generator().manual_seed(0)) ** 3
    errors = {}
    for range_init in ("own", "minmax", "mse"):
        q = quantizer(bits=3, role="weight", scale_shape=(4, 1))
        q.calibrate(observed(values, scale_shape=(4, 1)), range_init)
        errors[range_init] = (q(values) - values).square().mean(1)
    assert (errors["mse"] <= errors["minmax"]).all()
    assert (errors["mse"] <= errors["own"] * 1.001).all()  # the search has a step of one percent
    for channel, row in enumerate(values):
        q = quantizer(bits=3, role="weight")
        tried = []
        for fraction in range(20, 101):
            q.set_range(row.min() * fraction / 100, row.max() * fraction / 100)
            tried.append((q(row) - row).square().mean().item())
        assert errors["mse"][channel].item() == pytest.approx(min(tried), rel=1e-5)  # float32 sums


def test_a_channel_of_zeros_stays_zero():
    q = LSQ(bits=4, role="weight", scale_shape=(2, 1))
    weight = torch.tensor([[0.0, 0.0], [1.0, -1.0]])
    q.calibrate(observed(weight, scale_shape=(2, 1)))
    assert q(weight)[0].tolist() == [0, 0]
    assert q(weight).isfinite().all()


def test_the_mse_search_reaches_from_a_fifth_of_the_range_to_all_of_it():
    """Values on the grid of the whole range; and very many on that of a fifth, beside a single far one."""
    for values, top in (
        (torch.arange(-8.0, 8.0), 7.0),
        (torch.cat([torch.arange(-8.0, 8.0).repeat(200), torch.tensor([35.0])]), 7.0),
    ):
        q = LSQ(bits=4, role="weight")
        q.calibrate(observed(values), "mse")
        assert 7 * q.scale.item() == pytest.approx(top, rel=1e-6)


def test_a_step_size_at_its_floor_still_learns():
    """A channel of zeros can come back to life: ∂v̂/∂s = 7 for a clipped value, times 1 / sqrt(1 · 7)."""
    zeros, below = LSQ(bits=4, role="weight"), LSQ(bits=4, role="weight")
    zeros.calibrate(observed(torch.zeros(4)))
    below.scale.data.fill_(1e-12)
    for q in (zeros, below):
        (grad,) = torch.autograd.grad(q(torch.ones(1)), q.scale)
        assert q.step_size.item() == pytest.approx(1e-8)
        assert grad.item() == pytest.approx(7 / sqrt(7), rel=1e-6)


def test_a_step_size_that_crosses_zero_is_its_magnitude():
    v = torch.linspace(-3, 3, 20)
    values, gradients = [], []
    for sign in (1, -1):
        q = LSQ(bits=3, role="weight")
        q.scale.data.fill_(sign * 0.5)
        values.append(q(v).detach())
        gradients.append(torch.autograd.grad(q(v).exp().sum(), q.scale)[0])
    assert torch.equal(*values)
    assert gradients[0] == -gradients[1] != 0


@pytest.mark.parametrize(
    ("batches", "low", "high"),
    [([[5.0, 6.0]], 0, 6), ([[-6.0, -5.0]], -6, 0), ([[1.0], [3.0], [2.0]], 0, 3), ([[-1.0], [-3.0]], -3, 0)],
)
@pytest.mark.parametrize("range_init", ["minmax", "percentile"])
def test_ranges_hold_zero_and_all_batches(batches, low, high, range_init):
    q = MinMax(bits=2, role="input")
    q.calibrate(observed(*map(torch.tensor, batches)), range_init, 100)
    assert 3 * q.scale.item() == pytest.approx(high - low)
    assert q.dequantize(torch.tensor([q.qmin, q.qmax])).tolist() == pytest.approx([low, high])


def test_a_subclass_may_define_the_scale_that_is_safe():
    class Twice(LSQ):
        @property
        def safe_scale(self):
            return 2 * super().safe_scale

    quantizer = Twice(bits=4, role="weight")
    quantizer.set_scale(torch.tensor(0.1))
    w = torch.linspace(-2, 2, 50)
    assert torch.equal(quantizer(w), quantizer.dequantize(quantizer.codes(w)))
