"""One update of plain QAT against SGD written out by hand."""

from math import cos, pi

import torch
from torch.nn import functional as F

from flatqat.methods.base import Setup
from flatqat.methods.qat import QAT
from flatqat.spec import Recipe
from tests.helpers.method_runs import batches, network


def test_updates_are_sgd_with_momentum_and_decay_on_weights_alone():
    """v <- m v + g + wd p (wd on weights), p <- p - lr_t v, with the cosine lr_t of step t."""
    recipe = Recipe(pretrain_steps=0, steps=4, batch_size=16, lr=0.1, momentum=0.9, weight_decay=0.05)
    net = network("3")
    method = QAT(Setup(model=net, loss=F.cross_entropy, recipe=recipe))
    method.begin(batches(1))
    velocity: dict[str, torch.Tensor] = {}
    for t, (x, y) in enumerate(batches(3)):
        twin = network("3")
        twin.load_state_dict(net.state_dict())
        twin.train()
        F.cross_entropy(twin(x), y).backward()
        expected = {}
        for name, p in twin.named_parameters():
            assert p.grad is not None
            decay = recipe.weight_decay if name.endswith("weight.original") else 0.0
            g = p.grad + decay * p.detach()
            velocity[name] = g if t == 0 else recipe.momentum * velocity[name] + g
            rate = recipe.lr * 0.5 * (1 + cos(pi * t / recipe.steps))
            expected[name] = p.detach() - rate * velocity[name]
        method.step(x, y)
        for name, p in net.named_parameters():
            torch.testing.assert_close(p.detach(), expected[name], msg=lambda m, n=name: f"{n}: {m}")
