"""First and second derivatives against slow twins: published formulas in plain tensor operations, float64.

A twin states its rounding as y + (round(y) − y) with the bracket a constant, and clips by comparison, so that
autograd differentiates the surrogate; EWGS, whose backward is no gradient, is written out element by element.
"""

from collections.abc import Callable
from math import sqrt

import pytest
import torch
from torch import Tensor

from flatqat.quant.apot import APoT
from flatqat.quant.base import Quantizer
from flatqat.quant.dorefa import DoReFa
from flatqat.quant.ewgs import EWGS
from flatqat.quant.lsq import LSQ
from flatqat.quant.lsqplus import LSQPlus
from flatqat.quant.minmax import MinMax
from flatqat.quant.n2uq import N2UQ
from flatqat.quant.observe import Observer
from flatqat.quant.pact import PACT
from flatqat.quant.pot import PoT

Twin = Callable[[Quantizer, Tensor], Tensor]


def rounded(y: Tensor) -> Tensor:
    return y + (y.round() - y).detach()


def clipped(y: Tensor, low: float, high: float) -> Tensor:
    return torch.where(y < low, torch.full_like(y, low), torch.where(y > high, torch.full_like(y, high), y))


def scaled(p: Tensor, factor: float) -> Tensor:
    return p * factor + (p - p * factor).detach()


def lsqplus(q: Quantizer, x: Tensor) -> Tensor:
    g = 1.0 if q.ste_only else 1 / sqrt(x[0].numel() * q.qmax)
    s, beta = scaled(q.scale, g), scaled(q.offset, g)
    return s * rounded(clipped((x - beta) / s, 0, q.qmax)) + beta


def dorefa_weight(q: Quantizer, w: Tensor) -> Tensor:
    t = w.tanh()
    return 2 * rounded(q.qmax * (t / (2 * t.abs().max()) + 0.5)) / q.qmax - 1


def pact(q: Quantizer, x: Tensor) -> Tensor:
    """0.5 (|x| − |x − α| + α) has a kink at α; the paper counts x = α as clipped."""
    alpha = q.scale
    low = -alpha if q.qmin < 0 else torch.zeros_like(alpha)
    below = (x <= low) if q.qmin < 0 else (x < low)
    y = torch.where(x >= alpha, alpha, torch.where(below, low, x))
    step = (alpha / q.qmax).detach()
    return y + ((y / step).round() * step - y).detach()


def apot(q: Quantizer, v: Tensor) -> Tensor:
    if q.role == "weight":
        v = (v - v.mean()) / ((v - v.mean()).square().sum() / (v.numel() - 1)).sqrt()
    y = clipped(v / q.scale, float(q.levels[0]), 1.0)
    nearest = q.levels[(y.detach().flatten()[:, None] - q.levels).abs().argmin(1)].view_as(y)
    return q.scale * (y + (nearest - y).detach())


def n2uq(q: Quantizer, x: Tensor) -> Tensor:
    """The curve as a sum of ramps, one a segment."""
    g = 1.0 if q.ste_only else 1 / sqrt(x[0].numel() * q.segments)
    s, left = scaled(q.scale, g), scaled(q.start, g)
    curve = torch.zeros_like(x)
    for width in scaled(q.widths, g):
        curve = curve + clipped((x - left) / width, 0, 1)
        left = left + width
    return s * (rounded(curve) + q.qmin)


TWINS: list[tuple[type[Quantizer], str, bool, Twin]] = [
    (LSQPlus, "input", True, lsqplus),
    (LSQPlus, "input", False, lsqplus),
    (DoReFa, "weight", True, dorefa_weight),
    (PACT, "weight", True, dorefa_weight),
    (PACT, "input", True, pact),
    (PACT, "input", False, pact),
    (APoT, "weight", True, apot),
    (APoT, "input", True, apot),
    (APoT, "input", False, apot),
    (PoT, "weight", True, apot),
    (PoT, "input", False, apot),
    (N2UQ, "input", True, n2uq),
    (N2UQ, "input", False, n2uq),
]
IDS = [f"{q.__name__}-{role}-{'signed' if signed else 'unsigned'}" for q, role, signed, _ in TWINS]


def example(quantizer: type[Quantizer], bits: int, role: str, signed: bool) -> tuple[Quantizer, Tensor]:
    """A quantizer that clips some of its values, off its starting point."""
    generator = torch.Generator().manual_seed(bits)
    v = torch.randn(5, 8, generator=generator, dtype=torch.float64)
    v = v if signed else v.abs()
    q = quantizer(bits=bits, role=role)
    seen = Observer((), keep_all=True)
    seen.add(v.float())
    q.calibrate(seen, "minmax")
    q.double()
    with torch.no_grad():
        for p in q.parameters():
            p.mul_(0.5 + 0.4 * torch.rand(p.shape, generator=generator, dtype=torch.float64))
    return q, v.requires_grad_()


def derivatives(x: Tensor, tensors: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """First derivatives of a curved loss of x, and the product of its Hessian with a fixed vector."""
    weights = torch.linspace(-1, 2, x.numel(), dtype=torch.float64).view_as(x)
    loss = (weights * x).sin().sum() + (weights * x).sum().square()
    first = torch.autograd.grad(loss, tensors, create_graph=True)
    slope = sum((g * torch.linspace(1, 2, g.numel(), dtype=g.dtype).view_as(g)).sum() for g in first)
    second = torch.autograd.grad(slope, tensors, allow_unused=True)
    return list(first), [torch.zeros(()) if h is None else h for h in second]


@pytest.mark.parametrize("bits", [2, 3, 4])
@pytest.mark.parametrize(("quantizer", "role", "signed", "twin"), TWINS, ids=IDS)
def test_derivatives_are_those_of_the_twin(quantizer, role, signed, twin, bits):
    q, v = example(quantizer, bits, role, signed)
    tensors = [v, *q.parameters()]
    if quantizer in (APoT, PoT) and role == "weight" and bits == 2:
        q.ste_only = True  # with its own backward no function's gradient: see test_by_hand
    torch.testing.assert_close(q(v), twin(q, v), rtol=0, atol=1e-12)
    assert role == "weight" or not q.in_range(v).all(), "the example must clip something"
    for ours, theirs in zip(derivatives(q(v), tensors), derivatives(twin(q, v), tensors), strict=True):
        for a, b in zip(ours, theirs, strict=True):
            torch.testing.assert_close(a, b.expand_as(a), rtol=1e-9, atol=1e-9)
        assert any((a != 0).any() for a in ours)


@pytest.mark.parametrize("role", ["weight", "input"])
@pytest.mark.parametrize("bits", [2, 4])
def test_ewgs_backward_is_the_chain_rule_through_l_and_u(role, bits):
    """One element at a time, in x_n, x_q and x̂ = l + (u − l) x_q. With u = l + n s a step s has n times the
    gradient of u, and l in (s, l) the sum of both."""

    class Strong(EWGS):
        delta = 0.3

    q, v = example(Strong, bits, role, signed=True)
    n, low = q.qmax, q.offset.item()
    high = low + n * q.scale.item()
    upstream = torch.linspace(-1, 1, v.numel(), dtype=torch.float64).view_as(v)
    on_v, on_low, on_high = torch.zeros_like(v), 0.0, 0.0
    for i, (x, g) in enumerate(zip(v.flatten().tolist(), upstream.flatten().tolist(), strict=True)):
        where = (x - low) / (high - low)
        x_n = min(max(where, 0), 1)
        x_q = round(n * x_n) / n
        g_q = g * (high - low)
        sign = (g_q > 0) - (g_q < 0)
        g_n = g_q * (1 + 0.3 * sign * (x_n - x_q)) if 0 <= where <= 1 else 0.0
        on_v.view(-1)[i] = g_n / (high - low)
        on_low += g * (1 - x_q) - g_n * (1 - x_n) / (high - low)
        on_high += g * x_q - g_n * x_n / (high - low)
    ours = torch.autograd.grad(q(v), [v, q.scale, q.offset], upstream)
    factor = q.grad_scale(v)
    torch.testing.assert_close(ours[0], on_v, rtol=0, atol=1e-12)
    assert ours[1].item() == pytest.approx(factor * n * on_high, rel=1e-9)
    assert ours[2].item() == pytest.approx(factor * (on_low + on_high), rel=1e-9)
    assert not torch.equal(on_v, upstream * q.in_range(v)), "the example must differ from straight-through"


def test_ewgs_has_no_hessian_but_with_the_straight_through_estimator():
    """Why measuring swaps it: u'Hv is not v'Hu with its own backward."""

    class Strong(EWGS):
        delta = 0.3

    q, v = example(Strong, 2, "input", signed=True)
    one, other = (torch.randn(v.shape, generator=torch.Generator().manual_seed(i)).double() for i in (1, 2))

    def product(left: Tensor, right: Tensor) -> float:
        (grad,) = torch.autograd.grad(q(v).exp().sum().square(), v, create_graph=True)
        (h,) = torch.autograd.grad((grad * right).sum(), v)
        return float((h * left).sum())

    assert product(one, other) != pytest.approx(product(other, one), rel=1e-3)
    q.ste_only = True
    assert product(one, other) == pytest.approx(product(other, one), rel=1e-10)


@pytest.mark.parametrize("quantizer", [LSQ, LSQPlus, N2UQ])
def test_the_factor_of_training_is_off_with_the_straight_through_estimator(quantizer):
    q, v = example(quantizer, 3, "input", signed=True)
    trained = torch.autograd.grad(q(v).exp().sum(), list(q.parameters()))
    q.ste_only = True
    plain = torch.autograd.grad(q(v).exp().sum(), list(q.parameters()))
    assert 0 < q.grad_scale(v) < 0.5
    for with_factor, without in zip(trained, plain, strict=True):
        torch.testing.assert_close(with_factor, q.grad_scale(v) * without)


@pytest.mark.parametrize("quantizer", [LSQPlus, EWGS, PACT, APoT, PoT, DoReFa, MinMax])
def test_the_hessian_through_a_quantizer_is_masked_and_no_more(quantizer):
    """L = x'Ax/2 at x = Q(v): Hu = M A M u in `ste_only`, whatever the rounding; M is `in_range`."""
    q, v = example(quantizer, 3, "input", signed=True)
    q.ste_only = True
    if not list(q.parameters()):
        q.scale.mul_(0.5)
    v = v.detach().flatten().requires_grad_()
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(v.numel(), v.numel(), generator=generator, dtype=torch.float64)
    a, u = a + a.T, torch.randn(v.numel(), generator=generator, dtype=torch.float64)
    mask = q.in_range(v).double()
    assert 0 < mask.sum() < v.numel()
    x = q(v)
    (grad,) = torch.autograd.grad(0.5 * x @ a @ x, v, create_graph=True)
    (product,) = torch.autograd.grad(grad @ u, v)
    torch.testing.assert_close(product, mask * (a @ (mask * u)), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("quantizer", [LSQPlus, EWGS, APoT, PoT, DoReFa, MinMax, PACT, N2UQ])
@pytest.mark.parametrize("signed", [False, True])
def test_the_gradient_at_saturation(quantizer, signed):
    """1 on the bound and 0 beyond it, and `inside` says so; where the authors exclude a bound, 0 on it.

    PACT counts α as clipped, LSQ+ both bounds, N2UQ the lower one: its value there is the one for every zero.
    """
    q = quantizer(bits=3, role="input")
    seen = Observer(())
    seen.add(torch.tensor([-3.5 if signed else 0.0, 3.5]))  # seven equal steps of a power of two
    q.calibrate(seen, "minmax")
    bounds = q.dequantize(torch.tensor([q.qmin, q.qmax], dtype=torch.int32)).detach()
    if quantizer is N2UQ:
        bounds = torch.stack([q.start.detach(), bounds[1] * (1 - 1e-6)])  # a sum of widths, which round
    beyond = bounds + torch.tensor([-1e-3, 1e-3])
    v = torch.cat([bounds, beyond]).requires_grad_()
    (grad,) = torch.autograd.grad(q(v).sum(), v)
    excluded = {LSQPlus: (0.0, 0.0), N2UQ: (0.0, 1.0), PACT: (float(not signed), 0.0)}
    on_bound = excluded.get(quantizer, (1.0, 1.0))
    assert grad.tolist() == pytest.approx([*on_bound, 0, 0], abs=2e-4)  # EWGS: 1 within δ/2n
    assert q.in_range(v).tolist() == [bool(g) for g in (*on_bound, 0, 0)]


@pytest.mark.parametrize("quantizer", [LSQ, LSQPlus, EWGS, APoT, PoT, DoReFa, MinMax, PACT, N2UQ])
def test_infinity_is_clipped_like_any_large_value(quantizer):
    """Its level and all gradients are those of 10³⁰: a single one must not spoil what the layer learns."""
    q = quantizer(bits=3, role="input")
    seen = Observer(())
    seen.add(torch.tensor([-4.0, 4.0]))
    q.calibrate(seen, "minmax")
    found = []
    for large in (torch.inf, 1e30):
        v = torch.tensor([[-large, 0.3, large]], requires_grad=True)
        value = q(v)
        found.append([value.detach(), *torch.autograd.grad(value.exp().sum(), [v, *q.parameters()])])
    for a, b in zip(*found, strict=True):
        assert torch.equal(a, b)
