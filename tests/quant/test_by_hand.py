"""Every quantizer on numbers that can be worked out by hand."""

from math import pi, sqrt

import pytest
import torch

from flatqat.quant.apot import APoT, additive_levels
from flatqat.quant.dorefa import DoReFa
from flatqat.quant.ewgs import EWGS
from flatqat.quant.n2uq import N2UQ
from flatqat.quant.pact import PACT
from flatqat.quant.pot import PoT
from tests.helpers.observers import calibrated, observed

NEVER_NEGATIVE, SIGNED = torch.tensor([0.0, 1.0]), torch.tensor([-1.0, 1.0])


def test_dorefa_rounds_half_to_even():
    """q_2(0.5) = round(1.5) / 3 = 2/3, and the weight 0 sits at 1/2: 2 · 2/3 − 1 = 1/3."""
    q = calibrated(DoReFa, 2, NEVER_NEGATIVE)
    assert q(torch.tensor([0.5, -0.1, 0.4, 9.0])).tolist() == pytest.approx([2 / 3, 0, 1 / 3, 1])
    weight = DoReFa(bits=2, role="weight")
    assert weight(torch.tensor([0.0, 1.0])).tolist() == pytest.approx([1 / 3, 1])


def test_dorefa_weights_by_hand():
    """3 bits, w = −0.5, 0.1, 1: tanh / (2 tanh 1) + 1/2 = 0.1966, 0.5654, 1; times 7: 1.38, 3.96, 7."""
    q = DoReFa(bits=3, role="weight")
    assert q(torch.tensor([-0.5, 0.1, 1.0])).tolist() == pytest.approx([2 / 7 - 1, 8 / 7 - 1, 1])
    assert q.codes(torch.tensor([-0.5, 0.1, 1.0])).tolist() == [1, 4, 7]


def test_dorefa_clips_inputs_at_one_unless_another_range_is_asked_for():
    values = torch.tensor([0.0, 0.5, 6.0])
    assert calibrated(DoReFa, 4, values)(values).max() == 1
    assert calibrated(DoReFa, 4, values, "minmax")(values).max() == pytest.approx(6)


def test_pact_alpha_gradient_is_one_from_alpha_on():
    """x = 0.2, 1, 3 at α = 1: ∂y/∂α = 0, 1, 1 and ∂y/∂x = 1, 0, 0; x < 0 has neither."""
    q = calibrated(PACT, 2, NEVER_NEGATIVE, "minmax")
    assert q.scale.item() == 1
    x = torch.tensor([0.2, 1.0, 3.0, -1.0, 0.0], requires_grad=True)
    by_alpha = [torch.autograd.grad(q(x)[i], q.scale)[0].item() for i in range(5)]
    (by_x,) = torch.autograd.grad(q(x).sum(), x)
    assert by_alpha == [0, 1, 1, 0, 0]
    assert by_x.tolist() == [1, 0, 0, 0, 1]
    assert q(x).tolist() == pytest.approx([1 / 3, 1, 1, 0, 0])


def test_pact_of_signed_inputs_is_symmetric():
    """3 bits: 2^3 − 1 levels, ±α/3, ±2α/3, ±α and 0; ∂y/∂α has the sign of what is clipped."""
    q = calibrated(PACT, 3, SIGNED, "minmax")
    x = torch.tensor([-2.0, -1.0, -0.6, 0.0, 2.0], requires_grad=True)
    assert q(x).tolist() == pytest.approx([-1, -1, -2 / 3, 0, 1])
    by_alpha = [torch.autograd.grad(q(x)[i], q.scale)[0].item() for i in range(5)]
    assert by_alpha == [-1, -1, 0, 0, 1]


def test_pact_starts_at_ten_and_has_the_weights_of_dorefa():
    assert calibrated(PACT, 4, NEVER_NEGATIVE).scale.item() == 10
    w = torch.linspace(-1, 2, 50)
    assert torch.equal(PACT(bits=4, role="weight")(w), DoReFa(bits=4, role="weight")(w))
    assert not list(PACT(bits=4, role="weight").parameters())


def test_ewgs_gradient_by_hand():
    """x_n = 0.6 with levels 0 and 1, δ = 0.2: 0.92 for g = 1, −1.08 for g = −1."""

    class One(EWGS):
        delta = 0.2

    q = One(bits=2, role="input")
    q.set_bounds(0, 1)  # one bit
    q.set_range(torch.tensor(0.0), torch.tensor(1.0))
    x = torch.tensor([0.6], requires_grad=True)
    for upstream, expected in ((1.0, 0.92), (-1.0, -1.08)):
        (grad,) = torch.autograd.grad(q(x), x, torch.tensor([upstream]))
        assert grad.item() == pytest.approx(expected, rel=1e-6)


def test_ewgs_scales_gradients_by_a_thousandth_as_published():
    assert EWGS.delta == 1e-3


def test_ewgs_starts():
    values = torch.tensor([0.0, 1.0, 2.0, 5.0])
    deviation = values.std().item()
    q = calibrated(EWGS, 3, values)
    assert q.offset.item() == 0
    assert 7 * q.scale.item() == pytest.approx(3 * deviation / sqrt(1 - 2 / pi), rel=1e-6)
    weight = EWGS(bits=3, role="weight")
    weight.calibrate(observed(values))
    assert (weight.offset.item(), 7 * weight.scale.item()) == pytest.approx((-3 * deviation, 6 * deviation))


def test_apot_levels_of_four_bits():
    """{0, 1/2, 1/8, 1/32} + {0, 1/4, 1/16, 1/64}, divided by 3/4: 16 levels, the least 1/48."""
    sums = {a + b for a in (0, 1 / 2, 1 / 8, 1 / 32) for b in (0, 1 / 4, 1 / 16, 1 / 64)}
    levels = additive_levels(4)
    assert list(levels) == pytest.approx(sorted(total / 0.75 for total in sums))
    assert levels[1] == pytest.approx(1 / 48)
    q = calibrated(APoT, 4, NEVER_NEGATIVE, "minmax")
    assert q.levels.tolist() == pytest.approx(levels)


@pytest.mark.parametrize(
    ("bits", "terms"),
    [
        (1, [(1,)]),
        (2, [(1, 2, 3)]),
        (3, [(1, 2, 4), (3,)]),
        (5, [(1, 3, 6), (2, 4, 7), (5,)]),
        (6, [(1, 4, 7), (2, 5, 8), (3, 6, 9)]),
    ],
)
def test_apot_levels_are_those_of_the_published_code(bits, terms):
    """The powers of each term, −log2, as the authors deal them out."""
    sums = {0.0}
    for term in terms:
        sums = {total + part for total in sums for part in (0.0, *(2.0**-p for p in term))}
    assert list(additive_levels(bits)) == pytest.approx(sorted(total / max(sums) for total in sums))


@pytest.mark.parametrize("bits", range(2, 9))
def test_levels_fill_their_bits(bits):
    for signed, values in ((False, NEVER_NEGATIVE), (True, SIGNED)):
        q = calibrated(APoT, bits, values)
        assert len(q.levels.unique()) == (2**bits - 1 if signed else 2**bits)
        q = calibrated(PoT, bits, values)
        assert len(q.levels.unique()) == q.qmax + 1 <= 2**bits
        assert 0 in q.levels
        assert q.levels.max() == 1


def test_pot_levels_of_four_bits():
    """Weights: a sign and three bits, 0 and 1 .. 2^−6; inputs: 0 and 1 .. 2^−14."""
    assert PoT(bits=4, role="weight").levels.tolist()[7:] == [0, *(2.0**-i for i in range(6, -1, -1))]
    q = calibrated(PoT, 4, NEVER_NEGATIVE)
    assert q.levels.tolist() == [0, *(2.0**-i for i in range(14, -1, -1))]


def test_at_two_bits_both_are_one():
    for values in (NEVER_NEGATIVE, SIGNED):
        assert torch.equal(calibrated(PoT, 2, values).levels, calibrated(APoT, 2, values).levels)


def test_apot_projects_by_hand():
    """4-bit weights, α = 1: magnitudes 0, 1, 2, 3, 4, 6, 8, 10 tenths."""
    q = APoT(bits=4, role="weight")
    q.set_range(torch.tensor(-1.0), torch.tensor(1.0))
    assert q.levels.tolist()[7:] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0])
    u = torch.tensor([-3.0, -0.64, 0.04, 0.26, 0.72, 0.95])
    assert q.project(u).tolist() == pytest.approx([-1, -0.6, 0, 0.3, 0.8, 1])


def test_two_bit_weights_of_apot_are_ternary_and_pass_the_gradient_outside():
    w = torch.tensor([-2.0, -1.0, 0.0, 1.0, 2.0])
    q = APoT(bits=2, role="weight")
    q.calibrate(observed(w), "minmax")
    assert q.levels.tolist() == [-1, 0, 1]
    q.scale.data.fill_(1.0)
    u = q.normalize(w).requires_grad_()
    (grad,) = torch.autograd.grad(q.project(u).sum(), u)
    assert grad.tolist() == [1] * 5
    q.ste_only = True
    (grad,) = torch.autograd.grad(q.project(u).sum(), u)
    assert grad.tolist() == [0, 1, 1, 1, 0]


@pytest.mark.parametrize("quantizer", [APoT, PoT])
def test_apot_starts(quantizer):
    assert calibrated(quantizer, 4, NEVER_NEGATIVE).scale.item() == 6
    q = quantizer(bits=4, role="weight")
    w = torch.tensor([1.0, 2.0, 3.0, 10.0])
    q.calibrate(observed(w))
    assert q.scale.item() == 3
    q.calibrate(observed(w), "minmax")
    assert q.scale.item() == pytest.approx(((10 - w.mean()) / w.std()).item())


def test_n2uq_thresholds_and_slopes_by_hand():
    """2 bits, start 0.5, widths 1, 2, 4: left ends 0.5, 1.5, 3.5, thresholds 1, 2.5, 5.5; s = 0.5."""
    q = calibrated(N2UQ, 2, NEVER_NEGATIVE)
    q.set_scale(torch.tensor(0.5))
    q.start.data.fill_(0.5)
    q.widths.data.copy_(torch.tensor([1.0, 2.0, 4.0]))
    x = torch.tensor([0.0, 0.9, 1.1, 2.4, 2.6, 5.4, 5.6, 8.0], requires_grad=True)
    assert q(x).tolist() == [0, 0, 0.5, 0.5, 1, 1, 1.5, 1.5]
    (grad,) = torch.autograd.grad(q(x).sum(), x)
    assert grad.tolist() == [0, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125, 0]


def test_n2uq_segments_have_a_least_width():
    """10⁻³ of half the output range, 0.75 · 10⁻³ here; a width below it has no gradient, as published."""
    q = calibrated(N2UQ, 2, NEVER_NEGATIVE)
    q.set_scale(torch.tensor(0.5))
    q.widths.data.copy_(torch.tensor([1.0, -3.0, 1.0]))
    x = torch.tensor([0.9999, 1.0 + 0.5 * 0.75e-3, 1.4, 1.6], requires_grad=True)
    by_x, by_width = torch.autograd.grad(q(x).sum(), [x, q.widths])
    assert by_x.tolist() == pytest.approx([0.5, 0.5 / 0.75e-3, 0.5, 0.5], rel=1e-4)
    assert by_width[1] == 0
    assert by_width[0] != 0
    (by_scale,) = torch.autograd.grad(q(x).sum() / q.grad_scale(x), q.scale)
    assert by_scale.item() == pytest.approx(
        q.codes(x).sum().item(), rel=1e-5
    )  # the least width is a constant
    assert q(x).tolist()[2:] == [1, 1.5]


def test_n2uq_starts_as_in_the_paper_or_from_the_data():
    q = calibrated(N2UQ, 2, NEVER_NEGATIVE)
    assert q.scale.item() == pytest.approx(2 / 3)
    assert q.widths.tolist() == pytest.approx([2 / 3] * 3)
    assert (q.qmin, q.qmax, q.start.item()) == (0, 3, 0)
    q = calibrated(N2UQ, 2, torch.tensor([-1.0, 2.0]), "minmax")
    assert (q.qmin, q.qmax, q.start.item(), q.scale.item()) == (-1, 2, -1, 1)
    assert q(torch.tensor([-5.0, -0.4, 0.6, 9.0])).tolist() == [-1, 0, 1, 2]


def test_n2uq_weights_by_hand():
    """2 bits: γ = 3/2, mean|w| = 2/3, so levels ±1, ±1/3, and the gradient passes beyond them too."""
    q = N2UQ(bits=2, role="weight")
    w = torch.tensor([-1.2, -0.3, 0.5], requires_grad=True)
    q.calibrate(observed(w.detach()))
    torch.testing.assert_close(q(w).detach(), torch.tensor([-1.0, -1 / 3, 1 / 3]))
    assert q.in_range(w).tolist() == [False, True, True]
    (grad,) = torch.autograd.grad(q(w).sum(), w)
    assert grad.tolist() == [1, 1, 1]
    q.ste_only = True
    (grad,) = torch.autograd.grad(q(w).sum(), w)
    assert grad.tolist() == [0, 1, 1]
