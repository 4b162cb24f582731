"""Every method: contract checks, identities to the bit, and what each one changes."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from flatqat import registry, testing
from flatqat.methods.anchor import Anchor, Config
from flatqat.methods.base import Setup
from flatqat.methods.batchnorm import reestimate_batchnorm
from flatqat.methods.fp import FullPrecision
from flatqat.methods.ptq import PTQ
from flatqat.methods.qat import QAT
from flatqat.models.segmentation import training_only
from flatqat.quant.apply import calibrate, latent_weights
from flatqat.spec import Recipe
from tests.helpers.method_runs import RECIPE, assert_equal, batches, network, trained


@pytest.mark.parametrize("name", registry.names(registry.METHODS))
@pytest.mark.parametrize("check", testing.CHECKS[registry.METHODS], ids=lambda c: c.__name__)
def test_contract(name, check):
    check(registry.load(registry.METHODS, name))


@pytest.mark.parametrize("coupling", ["ema", "elastic", "dampen"])
def test_anchor_without_strength_deployed_from_the_latent_weights_is_qat(coupling):
    config = Config(coupling=coupling, strength=0.0, deploy="latent")
    assert_equal(trained(Anchor, "3", config), trained(QAT, "3"))


def test_qat_in_floating_point_is_fp():
    assert_equal(trained(QAT, "fp"), trained(FullPrecision, "fp"))


@pytest.mark.parametrize(
    "config",
    [
        Config(strength=0.1),
        Config(strength=0.1, deploy="latent"),
        Config(coupling="elastic"),
        Config(coupling="dampen", deploy="latent"),
        Config(requantize_every=2, deploy="latent"),
        Config(beta=None, deploy="anchor"),
    ],
    ids=str,
)
def test_every_option_of_anchor_changes_something(config):
    plain = trained(QAT, "3").state_dict()
    assert any(not torch.equal(v, plain[k]) for k, v in trained(Anchor, "3", config).state_dict().items())


@pytest.mark.parametrize("coupling", ["ema", "elastic", "dampen"])
def test_anchor_step_by_hand(coupling):
    """One step of plain SGD against the formulas, written out a second time."""
    strength, beta = 0.3, 0.25
    recipe = Recipe(pretrain_steps=0, steps=4, batch_size=16, lr=0.05, momentum=0.0, weight_decay=0.0)
    net = network("3")
    method = Anchor(
        Setup(model=net, loss=F.cross_entropy, recipe=recipe),
        Config(coupling=coupling, strength=strength, beta=beta, deploy="latent"),
    )
    method.begin(batches(1))
    for x, y in batches(2):  # the first step moves W away from the anchor
        before = [(w.detach().clone(), q, q(w).detach(), q.in_range(w)) for w, q in method.weights]
        anchors = [a.clone() for a in method.anchors]
        twin = network("3")
        twin.load_state_dict(net.state_dict())
        twin.train()
        F.cross_entropy(twin(x), y).backward()
        gradients = [w.grad for w, _ in latent_weights(twin).values()]
        rate = method.learning_rate
        method.step(x, y)
        rows = zip(before, anchors, gradients, method.weights, method.anchors, strict=True)
        for (w, _, w_quant, inside), anchor, g, (w_new, q), anchor_new in rows:
            pull = {"ema": (w_quant - anchor) * inside, "elastic": w - anchor, "dampen": w - w_quant}[
                coupling
            ]
            torch.testing.assert_close(w_new, w - rate * (g + 2 * strength * pull))
            target = q(w_new).detach() if coupling == "ema" else w_new.detach()
            torch.testing.assert_close(anchor_new, (1 - beta) * anchor + beta * target)


def test_anchor_beta_defaults_to_the_gradient_step_of_the_regularizer():
    method = Anchor(
        Setup(model=network("3"), loss=F.cross_entropy, recipe=RECIPE), Config(beta=None, strength=0.2)
    )
    method.begin(batches(1))
    start = [anchor.clone() for anchor in method.anchors]
    rate = method.learning_rate
    method.step(*batches(1)[0])
    for anchor, before, (w, q) in zip(method.anchors, start, method.weights, strict=True):
        torch.testing.assert_close(anchor, before + 2 * rate * 0.2 * (q(w).detach() - before))


def test_anchor_is_thrown_away_unless_it_is_deployed():
    net = trained(Anchor, "3", Config(deploy="anchor"))
    assert net.state_dict().keys() == network("3").state_dict().keys()


@pytest.mark.parametrize("seed", [0, 1])
def test_the_literal_reading_of_anchor_qat_learns_nothing(seed):
    """The documented null. W_q := Q(W_a) at every step and W_a moved by the regularizer alone.

    W_a - lr · 2λ(W_a - Q(W_a)) shrinks the distance to the nearest grid point by 1 - 2·lr·λ a step, whatever
    the data: after k steps the residual is (1 - 2·lr·λ)^k of the first, and the loss never enters.
    """
    net = network("3")
    testing_batches = batches(1)
    QAT(Setup(model=net, loss=F.cross_entropy, recipe=RECIPE)).begin(testing_batches)
    rate, strength, steps = 0.01, 5.0, 200
    for w, q in latent_weights(net).values():
        anchor = w.detach().clone() + seed * 0.01
        first_grid, first = q(anchor).detach(), anchor.clone()
        for _ in range(steps):
            anchor -= rate * 2 * strength * (anchor - q(anchor).detach())
        assert torch.equal(q(anchor), first_grid)
        shrink = (1 - 2 * rate * strength) ** steps
        torch.testing.assert_close(anchor - first_grid, shrink * (first - first_grid), atol=1e-6, rtol=0)


def test_ptq_trains_nothing_and_calibrates_as_requested():
    start = network("3").state_dict()
    by_range_init = {}
    for ranges in ("mse", "minmax"):
        net = network("3")
        method = PTQ(Setup(model=net, loss=F.cross_entropy, recipe=RECIPE), PTQ.Config(ranges=ranges))
        assert method.total_steps == 0
        method.begin(batches(2))
        for name, (w, _) in latent_weights(net).items():
            assert torch.equal(w, start[name])
        by_range_init[ranges] = [q.scale.detach().clone() for _, q in latent_weights(net).values()]
    assert all((a <= b).all() for a, b in zip(by_range_init["mse"], by_range_init["minmax"], strict=True))
    assert any((a < b).any() for a, b in zip(by_range_init["mse"], by_range_init["minmax"], strict=True))


def test_learning_rate_follows_a_cosine_to_zero():
    method = QAT(Setup(model=network("4"), loss=F.cross_entropy, recipe=RECIPE))
    method.begin(batches(1))
    rates = []
    for x, y in batches(6):
        rates.append(method.learning_rate)
        method.step(x, y)
    assert rates[0] == RECIPE.lr
    assert rates[3] == pytest.approx(RECIPE.lr / 2)
    assert method.learning_rate == pytest.approx(0, abs=1e-12)
    assert rates == sorted(rates, reverse=True)


def test_learning_rate_of_segmentation_falls_by_the_power_of_nine_tenths():
    """lr (1 - t/T)^0.9: Chen et al. 2017, section 4."""
    method = QAT(Setup(model=network("4"), loss=F.cross_entropy, recipe=replace(RECIPE, schedule="poly")))
    method.begin(batches(1))
    for step, (x, y) in enumerate(batches(6)):
        assert method.learning_rate == pytest.approx(RECIPE.lr * ((6 - step) / 6) ** 0.9, rel=1e-12)
        method.step(x, y)
    assert method.learning_rate == 0


def test_step_sizes_and_batchnorm_are_not_decayed():
    method = QAT(Setup(model=network("4"), loss=F.cross_entropy, recipe=RECIPE))
    decayed, rest = method.optimizer.param_groups
    names = {id(p): name for name, p in method.model.named_parameters()}
    assert {names[id(p)].rpartition(".")[2] for p in decayed["params"]} == {"original"}
    assert {names[id(p)].rpartition(".")[2] for p in rest["params"]} == {"weight", "bias", "scale"}
    assert rest["weight_decay"] == 0


def test_batchnorm_statistics_are_the_mean_over_batches():
    net = nn.Sequential(nn.BatchNorm2d(3))
    data = [x for x, _ in batches(4)]
    reestimate_batchnorm(net, data)
    torch.testing.assert_close(net[0].running_mean, torch.stack([x.mean((0, 2, 3)) for x in data]).mean(0))
    torch.testing.assert_close(net[0].running_var, torch.stack([x.var((0, 2, 3)) for x in data]).mean(0))
    assert net[0].momentum == 0.1
    assert net.training


def test_batchnorm_of_a_head_that_only_runs_in_training_keeps_its_statistics():
    class TwoHeads(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm, self.auxiliary = nn.BatchNorm2d(3), training_only(nn.BatchNorm2d(3))

        def forward(self, x):
            return (self.norm(x), self.auxiliary(x)) if self.training else self.norm(x)

    net, images = TwoHeads(), [x for x, _ in batches(2)]
    net(images[0])
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    reestimate_batchnorm(net, images)
    after = net.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"norm.running_mean", "norm.running_var", "norm.num_batches_tracked"}


def test_amp_trains_in_bfloat16_and_differs_from_float32():
    nets = []
    for amp in (False, True):
        net = network("4")
        method = QAT(Setup(model=net, loss=F.cross_entropy, recipe=RECIPE, amp=amp))
        method.begin(batches(1))
        method.step(*batches(1)[0])
        nets.append(net)
    plain, mixed = ([p.detach() for p in net.parameters()] for net in nets)
    assert any(not torch.equal(a, b) for a, b in zip(plain, mixed, strict=True))
    for a, b in zip(plain, mixed, strict=True):
        assert a.dtype == b.dtype == torch.float32
        torch.testing.assert_close(a, b, atol=0.05, rtol=0.1)  # bfloat16 keeps 8 bits of mantissa


def test_ptq_estimates_batchnorm_again_only_when_asked():
    start = network("3").state_dict()
    for batchnorm in (False, True):
        net = network("3")
        method = PTQ(Setup(model=net, loss=F.cross_entropy, recipe=RECIPE), PTQ.Config(batchnorm=batchnorm))
        method.begin(batches(2))
        method.end(batches(2))
        assert torch.equal(net[1].running_mean, start["1.running_mean"]) != batchnorm


@pytest.mark.parametrize("ranges", ["own", "minmax", "mse", "percentile"])
def test_the_grids_start_as_requested(ranges):
    net, expected = network("3"), network("3")
    QAT(Setup(model=net, loss=F.cross_entropy, recipe=RECIPE), QAT.Config(ranges=ranges)).begin(batches(2))
    calibrate(expected, [x for x, _ in batches(2)], ranges)
    assert_equal(net, expected)
    assert not torch.equal(net[0].parametrizations.weight[0].scale, torch.ones(6, 1, 1, 1))
