"""Layers that share a weight: one tensor, one grid, one set of codes, whatever the method does to it."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from flatqat import registry
from flatqat.bench.flatness.flatness_point import evaluated_at
from flatqat.flatness.hessian import top_eigenvalue
from flatqat.flatness.params import flatten, unflatten
from flatqat.methods.base import Setup
from flatqat.metrics.loss import cross_entropy
from flatqat.quant.apply import calibrate, latent_weights, quantize_, quantizers
from flatqat.quant.audit import audit, summary
from flatqat.quant.fold import weight_quantizer
from flatqat.spec import QuantSpec, Recipe
from tests.helpers.quantized_toys import CELL, data, dense_top

METHODS = [n for n in registry.names(registry.METHODS) if registry.load(registry.METHODS, n).quantizes]


def network() -> nn.Module:
    """The second and the third layer share a weight of 16 numbers."""
    with torch.random.fork_rng():
        torch.manual_seed(2)
        net = nn.Sequential(
            nn.Conv2d(3, 2, 3, stride=2),
            nn.Softplus(),
            nn.Conv2d(2, 2, 2),
            nn.Softplus(),
            nn.Conv2d(2, 2, 2),
            nn.Flatten(),
            nn.Linear(2, 3),
        )
    net[4].weight = net[2].weight
    return net.double().eval()


def quantized(bits: str = "3", **layers) -> nn.Module:
    net = network()
    quantize_(net, QuantSpec.parse(bits, **layers))
    net.double()
    calibrate(net, [data()[0]], "mse")
    return net


def test_a_shared_weight_has_one_quantizer_and_one_latent_weight():
    net = quantized()
    assert net[2].parametrizations.weight.original is net[4].parametrizations.weight.original
    assert weight_quantizer(net[2]) is weight_quantizer(net[4])
    assert torch.equal(net[2].weight, net[4].weight)
    assert list(latent_weights(net)) == [f"{index}.parametrizations.weight.original" for index in (0, 2, 6)]
    assert latent_weights(net).keys() <= dict(net.named_parameters()).keys()
    assert [name for name, q in quantizers(net) if q.role == "input"] == ["0", "2", "4", "6"]


def test_the_layer_with_the_most_bits_decides_about_the_weight():
    net = quantized("2", keep="4")
    assert weight_quantizer(net[2]).bits == 8
    assert {name: q.bits for name, q in quantizers(net) if q.role == "input"} == {
        "0": 2, "2": 2, "4": 8, "6": 2,
    }  # fmt: skip


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("bits", ["3", "8"])
def test_every_method_keeps_the_weight_shared_and_on_its_grid(method, bits):
    net, (x, y) = network().float(), data()
    batch = x.float(), y
    quantize_(net, QuantSpec.parse(bits))
    recipe = Recipe(pretrain_steps=0, steps=4, batch_size=40, lr=0.05)
    setup = Setup(model=net, loss=cross_entropy, recipe=recipe, val_loss=lambda: 1.0)
    made = registry.load(registry.METHODS, method)(setup)
    made.begin([batch])
    for _ in range(made.total_steps):
        made.step(*batch)
    made.end([batch])
    assert torch.equal(net[2].weight, net[4].weight)
    assert net[2].parametrizations.weight.original is net[4].parametrizations.weight.original
    other = network().float()
    quantize_(other, QuantSpec.parse(bits))
    other.load_state_dict(net.state_dict())
    assert torch.equal(other.eval()(batch[0]), net.eval()(batch[0]))


def test_the_curvature_is_that_of_the_parameters_that_there_are():
    """The dense float64 Hessian of the plain network at Q(W), with the shared weight counted once."""
    net = quantized()
    twin = network()
    with torch.no_grad():
        for layer, same in zip(net, twin, strict=True):
            if hasattr(same, "weight"):
                same.weight.copy_(layer.weight)
    with evaluated_at(net, [data()], CELL, space="quantized", acts=False, loss=_loss) as point:
        got = top_eigenvalue(point.losses, point.params, tolerance=1e-7)
        count = sum(p.numel() for p in point.params.values())
    assert count == sum(p.numel() for p in twin.parameters())
    assert got.value == pytest.approx(dense_top(twin), rel=1e-6)


@pytest.mark.parametrize("space", ["quantized", "latent", "step_size"])
def test_every_space_can_be_measured(space):
    """Against the dense Hessian of the same loss, by double backward along every unit vector."""
    net = quantized()
    with evaluated_at(net, [data()], CELL, space=space, acts=True, loss=_loss) as point:
        loss, at = point.losses[0], flatten(point.params)
        value = loss(point.params).item()
        dense = torch.autograd.functional.hessian(lambda w: loss(unflatten(w, point.params)), at)
        got = top_eigenvalue(point.losses, point.params, iterations=len(at), tolerance=1e-7)
    torch.testing.assert_close(dense, dense.T)
    assert got.value == pytest.approx(torch.linalg.eigvalsh(dense)[-1].item(), rel=1e-6)
    assert value == pytest.approx(_loss(net(data()[0]), data()[1]).item(), rel=1e-9)


def test_a_code_of_a_shared_weight_flips_in_both_layers():
    net, twin, name = quantized(), network(), "2.parametrizations.weight.original"
    with evaluated_at(net, [data()], CELL, space="quantized", acts=False, loss=_loss) as point:
        assert point.lower.keys() == point.upper.keys() == latent_weights(net).keys()
        flipped = point.losses[0](point.params | {name: point.upper[name]})
    with torch.no_grad():
        for layer, same in zip(net, twin, strict=True):
            if hasattr(same, "weight"):
                same.weight.copy_(layer.weight)
        twin[2].weight.copy_(point.upper[name])
    assert not torch.equal(twin[4].weight, net[4].weight)
    assert flipped.item() == pytest.approx(_loss(twin(data()[0]), data()[1]).item(), rel=1e-12)


def test_the_audit_names_the_layer_that_a_weight_is_shared_with_and_counts_it_once():
    rows = audit(quantized(), data()[0])
    notes = {(row.layer, row.tensor): row.note for row in rows if row.note}
    assert notes == {("4", "weight"): "shared with 2"}
    assert sum(row.size for row in rows) == sum(p.numel() for p in network().parameters() if p.ndim > 1)
    assert summary(rows)["floating_weights"] == 0


def _loss(output, y, reduction="mean"):
    return F.cross_entropy(output.double(), y, reduction=reduction)
