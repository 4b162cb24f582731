"""Fake quantization: hand-worked values, gradients at saturation, equality with real quantization."""

from math import sqrt

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from flatqat.errors import UsageError
from flatqat.quant.ops import fake_quantize, from_codes, to_codes


def test_lsq_forward_and_gradients_by_hand():
    """2 bits signed, s = 0.5: v/s = -4, -1.2, -0.4, 0.4, 0.6, 4 on the levels -2 .. 1."""
    v = torch.tensor([-2, -0.6, -0.2, 0.2, 0.3, 2], dtype=torch.float64, requires_grad=True)
    slopes = []
    for i in range(6):
        s = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
        slopes.append(torch.autograd.grad(fake_quantize(v, s, -2, 1)[i], s)[0])
    s = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    out = fake_quantize(v, s, -2, 1)
    (grad,) = torch.autograd.grad(out.sum(), v)
    assert out.tolist() == [-1, -0.5, 0, 0, 0.5, 0.5]
    assert grad.tolist() == [0, 1, 1, 1, 1, 0]
    # Differences of decimals that binary does not hold: one rounding each.
    expected = torch.tensor([-2, 0.2, 0.4, -0.4, 0.4, 1.0], dtype=torch.float64)
    torch.testing.assert_close(torch.stack(slopes), expected, atol=1e-15, rtol=0)


def test_gradient_at_saturation_is_one_on_the_bound_and_zero_beyond():
    s = torch.tensor(0.25)
    bound = torch.tensor([-8 * 0.25, 7 * 0.25])
    v = torch.cat([bound, torch.nextafter(bound, 10 * bound)]).requires_grad_()
    (grad,) = torch.autograd.grad(fake_quantize(v, s, -8, 7).sum(), v)
    assert grad.tolist() == [1, 1, 0, 0]


def test_scale_gradient_sums_over_what_shares_a_scale_and_is_scaled():
    v = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    s = torch.full((3, 1), 0.3, requires_grad=True)
    (per_row,) = torch.autograd.grad(fake_quantize(v, s, -2, 1, 0.5).sum(), s)
    for row in range(3):
        alone = torch.tensor(0.3, requires_grad=True)
        (grad,) = torch.autograd.grad(fake_quantize(v[row], alone, -2, 1).sum(), alone)
        torch.testing.assert_close(per_row[row, 0], 0.5 * grad)


@given(
    st.lists(st.floats(-1e4, 1e4, width=32), min_size=1, max_size=50),
    st.floats(2**-10, 100, width=32),
    st.integers(2, 8),
)
@settings(max_examples=200, deadline=None)
def test_equals_real_quantize_dequantize_exactly(values, scale, bits):
    v, s = torch.tensor(values), torch.tensor(scale)
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    torch.testing.assert_close(
        fake_quantize(v, s, low, high), from_codes(to_codes(v, s, low, high), s), atol=0, rtol=0
    )


def test_divides_by_the_scale_rather_than_multiplying_by_its_inverse():
    """The two differ in about one of a thousand codes; the convention is v / s."""
    v = torch.arange(1, 4_000_000, dtype=torch.float32) * 0.5
    s = torch.tensor(0.1)
    assert not torch.equal((v / s).round(), (v * (1 / s)).round()), "the inputs must tell the two apart"
    assert torch.equal(to_codes(v, s, -(2**30), 2**30), (v / s).round().to(torch.int32))


def test_rounds_half_to_even():
    assert to_codes(torch.tensor([0.5, 1.5, 2.5, -0.5]), torch.tensor(1.0), -8, 7).tolist() == [0, 2, 2, 0]


def test_half_precision_is_quantized_in_float32():
    v = torch.linspace(-3, 3, 1000, dtype=torch.bfloat16)
    out = fake_quantize(v, torch.tensor(0.1), -128, 127)
    assert out.dtype == torch.float32
    assert torch.equal(out, fake_quantize(v.float(), torch.tensor(0.1), -128, 127))


def quadratic(n: int, seed: int = 0) -> torch.Tensor:
    a = torch.randn(n, n, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return a + a.T


def test_hessian_product_through_the_quantizer_is_that_of_the_loss():
    """L = x'Ax/2 at x = Q(w): H v = A v exactly; a clipped coordinate has a zero row and column."""
    a, s = quadratic(5), torch.tensor(0.5, dtype=torch.float64)
    w = torch.tensor([0.1, -0.7, 0.4, 9.0, -0.2], dtype=torch.float64, requires_grad=True)
    v = torch.arange(1.0, 6, dtype=torch.float64)
    x = fake_quantize(w, s, -2, 1)
    (grad,) = torch.autograd.grad(0.5 * x @ a @ x, w, create_graph=True)
    (product,) = torch.autograd.grad(grad @ v, w)
    mask = torch.tensor([1, 1, 1, 0, 1], dtype=torch.float64)
    torch.testing.assert_close(product, mask * (a @ (mask * v)), atol=1e-14, rtol=0)


def test_second_derivative_in_the_scale_is_the_directional_curvature():
    """d²L/ds² = g² c'Ac with c = dQ/ds and g the gradient scale: no curvature of the rounding itself."""
    a = quadratic(4)
    w = torch.tensor([0.1, -0.7, 0.4, 9.0], dtype=torch.float64)
    s = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    factor = 1 / sqrt(12)
    x = fake_quantize(w, s, -2, 1, factor)
    (first,) = torch.autograd.grad(0.5 * x @ a @ x, s, create_graph=True)
    (second,) = torch.autograd.grad(first, s)
    ratio = w / 0.5
    c = torch.where(ratio > 1, torch.ones(4), ratio.round() - ratio)
    torch.testing.assert_close(second, factor**2 * c @ a @ c, atol=1e-13, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_keeps_shape_and_dtype(dtype):
    assert fake_quantize(torch.zeros(2, 3, dtype=dtype), torch.tensor(1.0, dtype=dtype), 0, 3).dtype == dtype


def test_without_gradients_the_values_are_the_same():
    v = torch.randn(1000, generator=torch.Generator().manual_seed(0))
    kept, s = v.clone(), torch.tensor(0.1)
    with torch.no_grad():
        fast = fake_quantize(v, s, -8, 7)
    assert torch.equal(fast, fake_quantize(v.requires_grad_(), s, -8, 7))
    assert torch.equal(v, kept)


@pytest.mark.parametrize(
    ("v", "bounds", "said"),
    [
        (torch.arange(4), (-8, 7), r"expected a tensor of floats, got torch.int64; use v.float\(\)"),
        (torch.ones(4), (7, -8), "expected qmin of at most qmax, got 7 and -8"),
    ],
)
def test_what_cannot_be_quantized_is_refused(v, bounds, said):
    """Levels of an integer tensor were cut to integers."""
    with pytest.raises(UsageError, match=said):
        fake_quantize(v, torch.tensor(0.1), *bounds)
