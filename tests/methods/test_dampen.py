"""Dampening of oscillations: identities to the bit, and the gradient of its regularizer."""

from math import cos, pi

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from flatqat.errors import UsageError
from flatqat.methods import dampen
from flatqat.methods.base import Setup
from flatqat.methods.qat import QAT
from flatqat.quant.apply import latent_weights
from flatqat.spec import Recipe
from tests.helpers.method_runs import RECIPE, assert_equal, batches, differ, network, trained


@pytest.mark.parametrize("bits", ["3", "w2a32", "4@minmax"])
def test_dampen_without_strength_is_qat(bits):
    assert_equal(trained(dampen.Dampen, bits, dampen.Config(strength=0.0)), trained(QAT, bits))


@pytest.mark.parametrize("config", [dampen.Config(), dampen.Config(start=0.5), dampen.Config(strength=1.0)])
def test_every_option_of_dampen_changes_something(config):
    other = QAT if config == dampen.Config() else dampen.Dampen
    assert differ(trained(dampen.Dampen, "3", config), trained(other, "3"))


def test_the_strength_rises_as_a_half_cosine_from_a_quarter_of_the_training_on():
    recipe = Recipe(pretrain_steps=0, steps=8, batch_size=16)
    method = dampen.Dampen(
        Setup(model=network("3"), loss=F.cross_entropy, recipe=recipe), dampen.Config(strength=0.4)
    )
    strengths = []
    for x, y in batches(8):
        strengths.append(method.strength)
        method.step(x, y)
    assert strengths[:3] == [0, 0, 0]
    assert strengths[3:] == pytest.approx([0.2 * (1 - cos(pi * k / 6)) for k in range(1, 6)])
    assert method.strength == pytest.approx(0.4)


@pytest.mark.parametrize("aggregation", ["sum", "kernel_mean"])
def test_dampen_adds_the_gradient_of_its_regularizer(aggregation):
    """Against automatic differentiation of λ · ‖sg(Q(w)) − clip(w, s·qmin, s·qmax)‖², clipped weights too."""
    net = network("3")
    config = dampen.Config(strength=0.7, start=0.0, aggregation=aggregation)
    method = dampen.Dampen(Setup(model=net, loss=F.cross_entropy, recipe=RECIPE), config)
    method.begin(batches(1))
    method.step(*batches(1)[0])
    method.optimizer.zero_grad()
    twin = network("3")
    twin.load_state_dict(net.state_dict())
    x, y = batches(2)[1]
    method.gradient(x, y)
    F.cross_entropy(twin.train()(x), y).backward()
    clipped = 0
    pairs = zip(net.named_parameters(), twin.named_parameters(), strict=True)
    latent = latent_weights(twin)
    for (name, p), (_, q) in pairs:
        if name not in latent:
            assert torch.equal(p.grad, q.grad), name  # step sizes and the rest feel nothing
            continue
        quantizer = latent[name][1]
        w = q.detach().clone().requires_grad_()
        s = quantizer.step_size.detach()
        distance = quantizer(w).detach() - torch.minimum(
            torch.maximum(w, s * quantizer.qmin), s * quantizer.qmax
        )
        squares = distance.square()
        total = squares.sum() if aggregation == "sum" else squares.sum(0).mean()
        (slope,) = torch.autograd.grad(method.strength * total, w)
        torch.testing.assert_close(p.grad, q.grad + slope)
        assert (slope != 0).any()
        clipped += int((~quantizer.in_range(w)).sum())
    assert clipped


def test_dampen_pulls_weights_to_their_levels():
    def distance(net: nn.Module) -> float:
        pairs = latent_weights(net).values()
        apart = [((w - q(w)) / q.step_size)[q.in_range(w)].detach() for w, q in pairs if q.bits == 3]
        return torch.cat(apart).square().mean().item()

    pulled = trained(dampen.Dampen, "3", dampen.Config(strength=2.0, start=0.0))
    assert distance(pulled) < distance(trained(QAT, "3"))


@pytest.mark.parametrize("config", [{"strength": -1.0}, {"start": 1.5}])
def test_settings_of_dampen_are_checked(config):
    with pytest.raises(UsageError, match=r"dampen\.\w+: expected"):
        dampen.Config(**config)
