"""Rounding with explicit gradients: the operations that all quantizers are built from."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from flatqat.errors import UsageError
from flatqat.quant.kernels import dispatch, formulas
from flatqat.quant.kernels.formulas import LOW_PRECISION, widened
from flatqat.quant.kernels.rule import Grid, Rule

Pairs = Sequence[tuple[Tensor, Tensor]]


def full_precision(v: Tensor) -> Tensor:
    """Return `v`, in float32 if it has half precision: codes are computed in float32."""
    return widened(v)


def fake_quantize(
    v: Tensor,
    scale: Tensor,
    qmin: int,
    qmax: int,
    grad_scale: float = 1.0,
    offset: Tensor | None = None,
    *,
    open_ends: tuple[bool, bool] = (False, False),
) -> Tensor:
    """v̂ = s · clip(round((v − β) / s), qmin, qmax) + β, with the straight-through gradient of LSQ and LSQ+.

    With r = (v − β) / s: ∂v̂/∂v = 1 where qmin ≤ r ≤ qmax (an end that is open excluded), else 0;
    ∂v̂/∂s = round(r) − r inside, `qmin` or `qmax` outside; ∂v̂/∂β = 0 inside, 1 outside. The last two are
    multiplied by `grad_scale`. Without `offset`, β = 0. s is the magnitude of `scale`, at least 10⁻⁸.

    `v` has any shape, `scale` and `offset` broadcast against it. Half precision is quantized in float32.
    Rounding is half to even. Source: Esser et al. 2020 (LSQ), eq. 1 to 3; Bhalgat et al. 2020 (LSQ+).

    Raises UsageError on integers, which cannot hold most levels, and if there is no code.
    """
    if not v.is_floating_point():
        raise UsageError(f"fake_quantize: expected a tensor of floats, got {v.dtype}; use v.float()")
    if qmin > qmax:
        raise UsageError(f"fake_quantize: expected qmin of at most qmax, got {qmin} and {qmax}")
    return fake_quantize_by(Rule(qmin, qmax, grad_scale, *open_ends), v, scale, offset)


def fake_quantize_by(rule: Rule, v: Tensor, scale: Tensor, offset: Tensor | None = None) -> Tensor:
    """Return v̂ by a rule, which has more variants than `fake_quantize`.

    The subgradient of `torch.clamp` is not used: at the bounds, where every clipped value lies, it differs
    between torch releases. The backward pass keeps `v` and no other large tensor. Slopes are constants of the
    backward pass, which is linear in the upstream gradient: second derivatives are those of a function that
    is linear in `v`, in `scale` and in `offset`.

    Under autocast, v̂ of a half precision tensor has half precision: the layers would round it to that anyway.
    """
    if v.dtype in LOW_PRECISION and not torch.is_autocast_enabled(v.device.type):
        v = v.float()
    if not torch.is_grad_enabled():
        return dispatch.levels(Grid(v, scale, offset, rule))
    function = _FakeQuantizeInFunctorch if dispatch.in_functorch() else _FakeQuantize
    rounded: Tensor = function.apply(v, scale, offset, rule)
    return rounded


def in_range_by(rule: Rule, v: Tensor, scale: Tensor, offset: Tensor | None = None) -> Tensor:
    """Return where `fake_quantize_by` passes the gradient of `v`, as booleans."""
    constant = offset if offset is None else offset.detach()
    return dispatch.inside(Grid(v.detach(), scale.detach(), constant, rule))


def surrogate(
    value: Tensor, v: Tensor, inside: Tensor | None, learned: Pairs = (), grad_scale: float = 1.0
) -> Tensor:
    """Return `value`, with the given derivatives with respect to `v` and to learned parameters.

    ∂/∂v is `inside` (None: 1), and ∂/∂p is `grad_scale` · slope for every pair (p, slope) in `learned`.
    These are constants of the backward pass, which is linear in the upstream gradient: second derivatives are
    those of a function that is linear in v and in every p.
    """
    params, slopes = [p for p, _ in learned], [slope for _, slope in learned]
    same: Tensor = _Surrogate.apply((value, inside, slopes, grad_scale), v, *params)
    return same


def scale_gradient(p: Tensor, factor: float) -> Tensor:
    """Return `p` bit for bit, with its gradient multiplied by `factor`."""
    return surrogate(p.detach(), p.detach(), None, [(p, torch.ones_like(p))], factor)


def to_codes(v: Tensor, scale: Tensor, qmin: int, qmax: int) -> Tensor:
    """Return the integer codes clip(round(v / s), qmin, qmax), as int32."""
    return (v / scale).round().clamp(qmin, qmax).to(torch.int32)


def from_codes(codes: Tensor, scale: Tensor) -> Tensor:
    """Return the dequantized values s · code."""
    return codes.to(scale.dtype) * scale


def _gradients(grad: Tensor, grid: Grid, needed: Sequence[bool]) -> tuple[Tensor | None, ...]:
    """Return the gradients that are needed, of `v`, of the scale and of the offset."""
    if torch.is_grad_enabled() and not torch.compiler.is_compiling():  # to be differentiated in turn
        found = _Vjp.apply(grad, grid.v, grid.scale, grid.offset, grid.rule, needed)
    else:
        found = dispatch.vjp(grid, grad, needed[0])
    return tuple(g if need else None for g, need in zip(found, needed, strict=True))


class _FakeQuantize(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, v: Tensor, scale: Tensor, offset: Tensor | None, rule: Rule) -> Tensor:
        ctx.save_for_backward(v, scale, offset)
        ctx.rule = rule
        return dispatch.levels(Grid(v, scale, offset, rule))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (grad,), (v, scale, offset) = grads, ctx.saved_tensors
        grid = Grid(v, scale, offset, ctx.rule)
        return *_gradients(grad, grid, ctx.needs_input_grad[:3]), None


class _FakeQuantizeInFunctorch(torch.autograd.Function):
    """The same with `setup_context`, which functorch requires.

    It is used there alone, since preparing it takes longer than rounding a small tensor.
    """

    generate_vmap_rule = True
    backward = _FakeQuantize.backward

    @staticmethod
    def forward(v: Tensor, scale: Tensor, offset: Tensor | None, rule: Rule) -> Tensor:
        return dispatch.levels(Grid(v, scale, offset, rule))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        *tensors, ctx.rule = inputs
        ctx.save_for_backward(*tensors)
        ctx.save_for_forward(*tensors)

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor | None) -> Tensor:
        along: Tensor = _Jvp.apply(*tangents[:3], *ctx.saved_tensors, ctx.rule)
        return along


class _Vjp(torch.autograd.Function):
    """The backward pass of `_FakeQuantize`: linear in the gradient, with the grid as a constant."""

    generate_vmap_rule = True

    @staticmethod
    def forward(
        grad: Tensor, v: Tensor, scale: Tensor, offset: Tensor | None, rule: Rule, needed: tuple[bool, ...]
    ) -> tuple[Tensor, Tensor, Tensor]:
        return dispatch.vjp(Grid(v, scale, offset, rule), grad, needed[0])

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.rule, ctx.needed = inputs[4:]
        scaled = ctx.rule.delta != 0  # by the sign of the gradient, which has to be known then
        ctx.save_for_backward(*inputs[1:4], inputs[0] if scaled else None)
        ctx.save_for_forward(*inputs[1:4])
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, *tangents: Tensor | None) -> tuple[Tensor | None, ...]:
        v, scale, offset, grad = ctx.saved_tensors
        if grad is not None:
            return _through_vjp(grad, tangents, Grid(v, scale, offset, ctx.rule)), *[None] * 5
        wanted = (t if need else None for t, need in zip(tangents, ctx.needed, strict=True))
        return _Jvp.apply(*wanted, v, scale, offset, ctx.rule), *[None] * 5

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *_: Any) -> Any:
        return _Vjp.apply(tangent, *ctx.saved_tensors, ctx.rule, ctx.needed)


def _through_vjp(grad: Tensor, tangents: Any, grid: Grid) -> Tensor:
    """Return the derivative of `vjp` with respect to `grad`, applied to tangents of its results."""
    again = torch.is_grad_enabled()  # to be differentiated in turn, by the tangents
    with torch.enable_grad():
        leaf = grad.detach().requires_grad_()
        pairs = zip(formulas.vjp(grid, leaf), tangents, strict=True)
        results, along = zip(*[pair for pair in pairs if pair[1] is not None], strict=True)
        return torch.autograd.grad(results, leaf, along, create_graph=again)[0]


class _Jvp(torch.autograd.Function):
    """The derivative of `_FakeQuantize` along a tangent, with the grid as a constant."""

    generate_vmap_rule = True

    @staticmethod
    def forward(
        on_v: Tensor | None,
        on_scale: Tensor | None,
        on_offset: Tensor | None,
        v: Tensor,
        scale: Tensor,
        offset: Tensor | None,
        rule: Rule,
    ) -> Tensor:
        return dispatch.jvp(Grid(v, scale, offset, rule), on_v, on_scale, on_offset)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs[3:6])
        ctx.save_for_forward(*inputs[3:6])
        ctx.rule = inputs[6]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (grad,), (v, scale, offset) = grads, ctx.saved_tensors
        grid = Grid(v, scale, offset, ctx.rule)
        return *_gradients(grad, grid, ctx.needs_input_grad[:3]), *[None] * 4

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor | None) -> Tensor:
        along: Tensor = _Jvp.apply(*tangents[:3], *ctx.saved_tensors, ctx.rule)
        return along


class _Surrogate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, given: tuple[Any, ...], v: Tensor, *params: Tensor) -> Tensor:
        value: Tensor
        value, inside, slopes, ctx.grad_scale = given
        ctx.save_for_backward(inside, *slopes)
        ctx.shapes = [p.shape for p in params]
        return value

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (grad,), (inside, *slopes) = grads, ctx.saved_tensors
        on_v = grad if inside is None else grad * inside
        pairs = zip(slopes, ctx.shapes, strict=True)
        return None, on_v, *((grad * slope).sum_to_size(shape) * ctx.grad_scale for slope, shape in pairs)
