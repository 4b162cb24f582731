"""`anchor(coupling=dual)`: both the quantized and the full-precision weights carry the task loss."""

from dataclasses import dataclass
from typing import Literal

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from flatqat import registry, testing
from flatqat.errors import UsageError
from flatqat.methods import anchor
from flatqat.methods.anchor import Anchor, Config
from flatqat.methods.base import Setup
from flatqat.methods.fp import FullPrecision
from flatqat.methods.qat import QAT
from flatqat.quant.apply import latent_weights, quantize_, quantizers
from flatqat.spec import QuantSpec, Recipe
from tests.helpers.method_runs import RECIPE, assert_equal, batches, begun, network, trained

LATENT = Config(coupling="dual", strength=0.0, deploy="latent")


@dataclass(frozen=True, slots=True, kw_only=True)
class DualConfig(anchor.Config):
    """The settings of `anchor` with another default."""

    coupling: Literal["ema", "elastic", "dampen", "dual"] = "dual"


class Dual(Anchor):
    """What `--set anchor.coupling=dual` runs, at its defaults."""

    Config = DualConfig


@pytest.mark.parametrize("check", testing.CHECKS[registry.METHODS], ids=lambda c: c.__name__)
def test_contract(check):
    check(Dual)


def on_grid(v: Tensor, step: float, low: int, high: int) -> Tensor:
    """The nearest level, by a plain definition."""
    return (v / step).round().clamp(low, high) * step


def linear(bits: str, *, layers: int = 1) -> nn.Module:
    """Linear layers without biases in double precision, at the bits given throughout."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(*(nn.Linear(3, 3, bias=False) for _ in range(layers))).double()
    quantize_(net, QuantSpec.parse(bits, keep="none"))
    return net.double()


def test_steps_by_hand():
    """Least squares, whose gradient at weights V is 2/n · (X̂ Vᵀ − Y)ᵀ X̂, with momentum and decay on both."""
    strength, momentum, decay = 0.3, 0.9, 0.05
    recipe = Recipe(pretrain_steps=0, steps=8, lr=0.1, momentum=momentum, weight_decay=decay)
    net, generator = linear("3@minmax"), torch.Generator().manual_seed(1)
    w, q = next(iter(latent_weights(net).values()))
    q.scale.fill_(0.15)
    (on_input,) = (q for _, q in quantizers(net) if q.role == "input")
    on_input.set_scale(torch.tensor(0.4, dtype=torch.double))
    loss = lambda z, y: (z - y).square().sum(1).mean()  # noqa: E731
    method = Anchor(Setup(model=net, loss=loss, recipe=recipe), Config(coupling="dual", strength=strength))
    latent, full = w.detach().clone(), w.detach().clone()
    speeds = [torch.zeros_like(latent), torch.zeros_like(latent)]
    clipped = 0
    for _ in range(4):
        x = torch.randn(5, 3, generator=generator, dtype=torch.double)
        y = torch.randn(5, 3, generator=generator, dtype=torch.double)
        seen, rounded = on_grid(x, 0.4, -4, 3), on_grid(latent, 0.15, -4, 3)
        inside = (latent / 0.15 >= -4) & (latent / 0.15 <= 3)
        clipped += int((~inside).sum())
        at_quant, at_full = (2 / 5 * (seen @ v.T - y).T @ seen for v in (rounded, full))
        g = (at_quant + 2 * strength * (rounded - full)) * inside + decay * latent
        g_anchor = at_full + 2 * strength * (full - rounded) + decay * full
        speeds = [momentum * old + new for old, new in zip(speeds, (g, g_anchor), strict=True)]
        rate = method.learning_rate
        latent, full = latent - rate * speeds[0], full - rate * speeds[1]
        logs = method.step(x, y)
        torch.testing.assert_close(w.detach(), latent, rtol=0, atol=1e-12)
        torch.testing.assert_close(method.anchors[0], full, rtol=0, atol=1e-12)
    assert clipped  # so that the end of the pull at the range is tested, too
    assert logs["loss_anchor"] != logs["loss"]


@pytest.mark.parametrize("strength", [0.0, 0.2])
def test_without_a_task_the_pull_draws_both_together(strength):
    """W_a − lr · 2λ (W_a − Q(W)) goes to Q(W), and W the other way by as much inside the range."""
    recipe = Recipe(pretrain_steps=0, steps=8, lr=0.1, momentum=0.0, weight_decay=0.0, schedule="constant")
    net = linear("3@minmax")
    w, q = next(iter(latent_weights(net).values()))
    q.scale.fill_(1.0)  # all weights are inside
    method = Anchor(
        Setup(model=net, loss=lambda z, _: 0 * z.sum(), recipe=recipe),
        Config(coupling="dual", strength=strength),
    )
    with torch.no_grad():
        w.add_(0.2)
    start, full, rounded = w.detach().clone(), method.anchors[0].clone(), q(w).detach()
    method.step(torch.ones(2, 3, dtype=torch.double), torch.zeros(2))
    share = 0.1 * 2 * strength
    torch.testing.assert_close(method.anchors[0], full + share * (rounded - full), rtol=0, atol=1e-12)
    torch.testing.assert_close(w.detach(), start + share * (full - rounded), rtol=0, atol=1e-12)


def test_without_strength_the_latent_weights_are_those_of_qat():
    assert_equal(trained(Anchor, "3", LATENT), trained(QAT, "3"))


def test_without_strength_the_anchors_are_those_of_full_precision():
    """Layers without any other parameter, and inputs in floating point, to the bit."""
    found = []
    for method_class, config, bits in ((Anchor, LATENT, "w3a32"), (FullPrecision, None, "fp")):
        net = linear(bits, layers=2)
        method = method_class(Setup(model=net, loss=F.cross_entropy, recipe=RECIPE), config)
        for images, y in batches(4):
            method.step(images.double().mean((2, 3)), y % 3)
        found.append(method)
    dual, full = found
    for a, p, (w, _) in zip(dual.anchors, full.model.parameters(), dual.weights, strict=True):
        assert torch.equal(a, p)
        assert not torch.equal(a, w)


def test_batchnorm_and_all_without_an_anchor_move_in_the_first_pass_alone():
    """After one step at any strength the statistics, and all but the weights, are those of QAT."""
    found = []
    for method_class, config in ((Anchor, Config(coupling="dual", strength=1.0)), (QAT, None)):
        net, method = begun(method_class, config)
        method.step(*batches(1)[0])
        found.append(net.state_dict())
    dual, qat = found
    assert dual["1.num_batches_tracked"] == 1
    differing = {name for name, value in dual.items() if not torch.equal(value, qat[name])}
    assert differing == {name for name in dual if name.endswith(".original")}


def test_both_passes_draw_the_same_dropout():
    """So in floating point, where W_a = Q(W), both losses are one; and no more is drawn than by QAT."""
    after = []
    for method_class, config in ((Dual, None), (QAT, None)):
        net = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(192, 4))
        method = method_class(Setup(model=net, loss=F.cross_entropy, recipe=RECIPE), config)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            logs = method.step(*batches(1)[0])
            after.append(torch.rand(()))
        assert logs.get("loss_anchor", logs["loss"]) == logs["loss"]
    assert after[0] == after[1]


@pytest.mark.parametrize("deploy", ["anchor", "latent"])
def test_each_deploys_its_own_weights(deploy):
    net, method = begun(Anchor, Config(coupling="dual", deploy=deploy))
    for x, y in batches(3):
        method.step(x, y)
    expected = {
        "latent": [w.detach().clone() for w, _ in method.weights],
        "anchor": [a.clone() for a in method.anchors],
    }
    method.end(batches(1))
    deployed = [w for w, _ in latent_weights(net).values()]
    equal = {name: all(map(torch.equal, deployed, values)) for name, values in expected.items()}
    assert equal == {name: name == deploy for name in expected}


def test_the_second_pass_is_under_autocast_too():
    net = network("3")
    method = Anchor(Setup(model=net, loss=F.cross_entropy, recipe=RECIPE, amp=True), Config(coupling="dual"))
    method.begin(batches(1))
    modes = []
    net.register_forward_hook(lambda *_: modes.append(torch.is_autocast_enabled("cpu")))
    assert all(value.isfinite() for value in method.step(*batches(1)[0]).values())
    assert modes == [True, True]
    assert all(a.dtype == torch.float32 and a.isfinite().all() for a in method.anchors)


def test_passes_depend_on_the_coupling():
    assert Anchor.passes == Anchor.passes_with(Config()) == 1
    assert Anchor.passes_with(Config(coupling="dual")) == 2


@pytest.mark.parametrize("beta", [None, 0.5])
def test_a_beta_is_refused(beta):
    with pytest.raises(UsageError, match=f"anchor.beta: expected none .* got {beta}; leave the setting out"):
        Config(coupling="dual", beta=beta)
