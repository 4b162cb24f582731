"""Updates of plain QAT against SGD and Adam written out by hand."""

from math import cos, pi

import pytest
import torch
from torch.nn import functional as F

from flatqat.methods.base import Setup
from flatqat.methods.pretrain import Pretrain
from flatqat.methods.qat import QAT
from flatqat.spec import Recipe
from tests.helpers.method_runs import batches, network


def decayed_gradients(net, x, y, weight_decay):
    """Yield each parameter of a twin of the network, and its gradient, with the decay on weights alone."""
    twin = network("3")
    twin.load_state_dict(net.state_dict())
    twin.train()
    F.cross_entropy(twin(x), y).backward()
    for name, p in twin.named_parameters():
        decay = weight_decay if name.endswith("weight.original") else 0.0
        yield name, p.detach(), p.grad + decay * p.detach()


def test_updates_are_sgd_with_momentum_and_decay_on_weights_alone():
    """v <- m v + g + wd p (wd on weights), p <- p - lr_t v, with the cosine lr_t of step t."""
    recipe = Recipe(pretrain_steps=0, steps=4, batch_size=16, lr=0.1, momentum=0.9, weight_decay=0.05)
    net = network("3")
    method = QAT(Setup(model=net, loss=F.cross_entropy, recipe=recipe))
    method.begin(batches(1))
    velocity: dict[str, torch.Tensor] = {}
    for t, (x, y) in enumerate(batches(3)):
        expected = {}
        for name, p, g in decayed_gradients(net, x, y, recipe.weight_decay):
            velocity[name] = g if t == 0 else recipe.momentum * velocity[name] + g
            rate = recipe.lr * 0.5 * (1 + cos(pi * t / recipe.steps))
            expected[name] = p - rate * velocity[name]
        method.step(x, y)
        for name, p in net.named_parameters():
            torch.testing.assert_close(p.detach(), expected[name], msg=lambda m, n=name: f"{n}: {m}")


def test_updates_are_adam_with_decay_in_the_gradient_of_weights_alone():
    """m, v: running means of g and g² (g includes wd p on weights), both divided by 1 - beta^(t + 1);
    p <- p - lr_t m / (sqrt(v) + 1e-8)."""
    recipe = Recipe(
        pretrain_steps=0, steps=4, batch_size=16, lr=0.01, momentum=0.5, weight_decay=0.05, optimizer="adam"
    )
    net = network("3")
    method = QAT(Setup(model=net, loss=F.cross_entropy, recipe=recipe))
    method.begin(batches(1))
    first: dict[str, torch.Tensor] = {}
    second: dict[str, torch.Tensor] = {}
    for t, (x, y) in enumerate(batches(3)):
        expected = {}
        for name, p, g in decayed_gradients(net, x, y, recipe.weight_decay):
            first[name] = 0.9 * first.get(name, torch.zeros_like(g)) + 0.1 * g
            second[name] = 0.999 * second.get(name, torch.zeros_like(g)) + 0.001 * g * g
            m, v = first[name] / (1 - 0.9 ** (t + 1)), second[name] / (1 - 0.999 ** (t + 1))
            rate = recipe.lr * 0.5 * (1 + cos(pi * t / recipe.steps))
            expected[name] = p - rate * m / (v.sqrt() + 1e-8)
        method.step(x, y)
        for name, p in net.named_parameters():
            torch.testing.assert_close(p.detach(), expected[name], msg=lambda m, n=name: f"{n}: {m}")


def test_pretraining_has_its_own_learning_rate_and_number_of_steps():
    recipe = Recipe(pretrain_steps=4, steps=9, batch_size=16, pretrain_lr=0.3, lr=0.05)
    method = Pretrain(Setup(model=network("fp"), loss=F.cross_entropy, recipe=recipe))
    rates = []
    for x, y in batches(4):
        method.step(x, y)
        rates.append([group["lr"] for group in method.optimizer.param_groups])
    expected = [0.3 * 0.5 * (1 + cos(pi * t / 4)) for t in range(4)]
    assert rates == [pytest.approx([rate, rate]) for rate in expected]
