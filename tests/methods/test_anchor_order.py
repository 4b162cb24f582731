"""When anchor-QAT puts the anchor back, and what happens after it."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from flatqat.methods.anchor import Anchor, Config
from flatqat.methods.base import Setup
from flatqat.methods.batchnorm import reestimate_batchnorm
from flatqat.quant.apply import latent_weights, quantize_
from flatqat.spec import QuantSpec
from tests.helpers.method_runs import RECIPE, assert_equal, batches, begun, network


@pytest.mark.parametrize("coupling", ["ema", "dual"])
def test_requantize_puts_the_anchor_back_every_k_steps(coupling):
    _, method = begun(Anchor, Config(coupling=coupling, requantize_every=2))
    for step, (x, y) in enumerate(batches(6), start=1):
        method.step(x, y)
        same = all(torch.equal(w, a) for (w, _), a in zip(method.weights, method.anchors, strict=True))
        assert same == (step % 2 == 0), step


def test_batchnorm_is_estimated_with_the_deployed_anchor():
    net = network("3")
    method = Anchor(Setup(model=net, loss=F.cross_entropy, recipe=RECIPE), Config(deploy="anchor"))
    method.begin(batches(1))
    for x, y in batches(6):
        method.step(x, y)
    anchors = [anchor.clone() for anchor in method.anchors]
    method.end(batches(3))
    assert all(torch.equal(w, a) for (w, _), a in zip(method.weights, anchors, strict=True))
    twin = network("3")
    twin.load_state_dict(net.state_dict())
    reestimate_batchnorm(twin, [x for x, _ in batches(3)])
    assert_equal(twin, net)


def test_beta_follows_the_learning_rate_of_each_step():
    """β_t = 2 · lr_t · λ with the rate of step t, not the peak."""
    config = Config(beta=None, strength=0.2)
    method = Anchor(Setup(model=network("3"), loss=F.cross_entropy, recipe=RECIPE), config)
    method.begin(batches(1))
    for x, y in batches(4):
        start, rate = [anchor.clone() for anchor in method.anchors], method.learning_rate
        method.step(x, y)
        for anchor, before, (w, q) in zip(method.anchors, start, method.weights, strict=True):
            expected = before + 2 * rate * 0.2 * (q(w).detach() - before)
            torch.testing.assert_close(anchor, expected, rtol=0, atol=1e-7)
    assert rate < 0.6 * RECIPE.lr


def test_the_anchor_of_a_layer_that_is_not_used_moves_at_every_step():
    """Its weights stay, so three steps leave the third power of 1 - beta of the way to their levels."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 4))
    net[0].spare = nn.Linear(8, 8)
    quantize_(net, QuantSpec.parse("3"))
    method = Anchor(Setup(model=net, loss=F.cross_entropy, recipe=RECIPE), Config(beta=0.25))
    method.begin(batches(1))
    for x, y in batches(3):
        method.step(x, y)
    ((w, quantizer),) = (pair for name, pair in latent_weights(net).items() if "spare" in name)
    anchor = next(a for (own, _), a in zip(method.weights, method.anchors, strict=True) if own is w)
    level = quantizer(w).detach()
    torch.testing.assert_close(anchor, level + 0.75**3 * (w.detach() - level))
