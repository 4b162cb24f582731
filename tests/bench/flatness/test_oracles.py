"""Curvature and sharpness of quantized networks against surrogates written out a second time."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from flatqat.bench.flatness.estimators import RHO_ASAM, RHO_SAM
from flatqat.bench.flatness.measure import flatness_of
from flatqat.flatness.apgd import worst_case_sharpness
from flatqat.flatness.sharpness import average_case_sharpness
from flatqat.quant.apply import latent_weights, quantizers
from tests.helpers.quantized_toys import CELL, data, dense_top, deployed, trained


def straight_through(x: Tensor, s: Tensor, low: int, high: int) -> Tensor:
    """The surrogate s · (clip(x/s) + r), r fixed, out of `where` and `detach` alone."""
    ratio = (x / s).detach()
    r = ratio.clamp(low, high).round() - ratio
    inside = (ratio >= low) & (ratio <= high)
    return torch.where(inside, x + s * r, s * ratio.clamp(low, high))


def with_input_grids(plain: nn.Module, net: nn.Module) -> nn.Module:
    """`plain` with the input grids of `net`, their step sizes constant."""
    for name, q in quantizers(net):
        if q.role == "input":
            s, low, high = q.scale.detach(), q.qmin, q.qmax
            plain.get_submodule(name).register_forward_pre_hook(
                lambda layer, args, s=s, low=low, high=high: (straight_through(args[0], s, low, high),)
            )
    return plain


@pytest.mark.parametrize("bits", ["3", "4", "w3a8"])
def test_with_input_quantizers_on_it_is_the_surrogates_hessian(bits):
    net = trained(bits)
    plain = with_input_grids(deployed(net), net)
    expected = dense_top(plain)
    found = flatness_of(net, [data()], CELL)
    assert found["lambda_max"]["residual"] <= 1e-3
    assert found["lambda_max"]["value"] == pytest.approx(expected, rel=1e-3)


def test_one_step_sharpness_at_the_deployed_point_by_hand():
    """Every tensor of the plain network at Q(w), biases and BatchNorm included, moved along the gradient."""
    net = trained("3")
    plain = deployed(net)
    x, y = data()
    params = {name: p.detach().clone().requires_grad_() for name, p in plain.named_parameters()}
    loss = F.cross_entropy(functional_call(plain, params, (x,)), y)
    grads = dict(zip(params, torch.autograd.grad(loss, list(params.values())), strict=True))

    def rise(step: dict[str, Tensor]) -> float:
        moved = {name: p.detach() + step[name] for name, p in params.items()}
        return (F.cross_entropy(functional_call(plain, moved, (x,)), y) - loss).item()

    norm = math.sqrt(sum(float(g.square().sum()) for g in grads.values()))
    scaled = {name: g * params[name].detach().abs() for name, g in grads.items()}
    scaled_norm = math.sqrt(sum(float(g.square().sum()) for g in scaled.values()))
    found = flatness_of(net, [data()], CELL, acts=False, draws=2)
    sam = rise({name: RHO_SAM * g / norm for name, g in grads.items()})
    asam = rise({n: RHO_ASAM * g * params[n].detach().abs() / scaled_norm for n, g in scaled.items()})
    assert found["sharpness_sam"]["value"] == pytest.approx(sam, rel=1e-6)
    assert found["sharpness_asam"]["value"] == pytest.approx(asam, rel=1e-6)


@pytest.fixture(scope="module")
def at_rounded_weights():
    """A quantized network, and the loss and the parameters of the plain network at Q(w)."""
    net = trained("3")
    plain = deployed(net)
    x, y = data()
    params = {name: p.detach() for name, p in plain.named_parameters()}
    return net, lambda at: F.cross_entropy(functional_call(plain, at, (x,)), y), params


def test_average_sharpness_is_that_of_the_plain_network_at_each_radius(at_rounded_weights):
    net, loss, params = at_rounded_weights
    found = flatness_of(net, [data()], CELL, acts=False, draws=3)
    assert [*found["sharpness_avg"]] == ["0.05", "0.1", "0.2"]
    for radius, kept in found["sharpness_avg"].items():
        of = average_case_sharpness([loss], params, radius=float(radius), draws=3, seed=found["seed"])
        assert (kept["value"], kept["stderr"]) == pytest.approx((of.value, of.stderr), rel=1e-6), radius


def test_the_worst_case_is_that_of_the_plain_network_in_each_ball(at_rounded_weights):
    net, loss, params = at_rounded_weights
    found = flatness_of(net, [data()], CELL, acts=False, measures=("apgd",))
    radii = {"plain": 0.05, "elementwise": 0.5, "filter": 0.002}
    assert found["apgd"].keys() == radii.keys()
    for ball, radius in radii.items():
        of = worst_case_sharpness([loss], params, radius=radius, ball=ball, seed=found["seed"], iterations=20)
        assert found["apgd"][ball]["value"] == pytest.approx(of.value, rel=1e-6), ball


def test_the_scale_space_measures_without_the_gradient_factor():
    """d²L/ds² of the surrogate itself: LSQ's factor g = 1/sqrt(N·high) is a step size of training, not part
    of the loss, and would weigh each layer's curvature by its g²."""
    net = trained("3")
    plain = deployed(net).eval()
    x, y = data()
    named = {n: (w.detach(), q) for n, (w, q) in latent_weights(net).items()}
    order: list[tuple[str, str]] = [(name, q.role) for name, q in quantizers(net)]
    by = {(name, q.role): q for name, q in quantizers(net)}
    shapes = [by[key].scale.shape for key in order]

    def loss(vector: Tensor) -> Tensor:
        parts = vector.split([math.prod(shape) for shape in shapes])
        scales = {k: part.view(shape) for k, part, shape in zip(order, parts, shapes, strict=True)}
        weights = {}
        for name, (w, q) in named.items():
            layer = name.split(".parametrizations.")[0]
            weights[f"{layer}.weight"] = straight_through(w, scales[layer, "weight"], q.qmin, q.qmax)
        handles = [
            plain.get_submodule(layer).register_forward_pre_hook(
                lambda m, args, s=scales[layer, role], q=by[layer, role]: (
                    straight_through(args[0], s, q.qmin, q.qmax),
                )
            )
            for layer, role in order
            if role == "input"
        ]
        try:
            return F.cross_entropy(functional_call(plain, weights, (x,)), y)
        finally:
            for handle in handles:
                handle.remove()

    at = torch.cat([by[key].scale.detach().flatten() for key in order])
    expected = float(torch.linalg.eigvalsh(torch.autograd.functional.hessian(loss, at))[-1])
    found = flatness_of(net, [data()], CELL, space="step_size")
    assert found["lambda_max"]["value"] == pytest.approx(expected, rel=1e-3)
