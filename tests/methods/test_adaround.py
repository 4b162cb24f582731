"""AdaRound against PTQ, and against every possible rounding of a small layer."""

from dataclasses import replace
from itertools import product

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from flatqat.errors import UsageError
from flatqat.methods.adaround import AdaRound, Config, Rounding
from flatqat.methods.base import Setup
from flatqat.methods.ptq import PTQ
from flatqat.quant.apply import disabled, latent_weights, quantize_
from flatqat.quant.lsq import LSQ
from flatqat.spec import QuantSpec
from tests.helpers.adaround_runs import QUICK, rounded
from tests.helpers.method_runs import RECIPE, batches, network


def quantized(net: nn.Module) -> list[Tensor]:
    with torch.no_grad():
        return [q(w) for w, q in latent_weights(net).values()]


@pytest.mark.parametrize("bits", ["3", "4@minmax", "w2a32"])
def test_without_iterations_it_is_ptq_with_the_weights_on_the_grid(bits):
    nets = network(bits), network(bits)
    x = batches(3)[2][0]
    rounded(nets[0], batches(2), Config(iterations=0))
    rounded(nets[1], batches(2), method_class=PTQ)
    assert all(torch.equal(a, b) for a, b in zip(*map(quantized, nets), strict=True))
    assert torch.equal(nets[0].eval()(x), nets[1].eval()(x))
    assert all(torch.equal(w, q(w)) for w, q in latent_weights(nets[0]).values())


@pytest.mark.parametrize("bits", ["3", "2@minmax", "w2a32"])
def test_every_weight_ends_on_one_of_the_two_levels_around_it(bits):
    net, start = network(bits), network(bits)
    rounded(net, batches(2), QUICK)
    turned = 0
    for (w, q), (before, _) in zip(latent_weights(net).values(), latent_weights(start).values(), strict=True):
        ratio = before / q.step_size
        code = q.codes(w)
        floor, ceil = (end(ratio).clamp(q.qmin, q.qmax).int() for end in (torch.floor, torch.ceil))
        assert ((code == floor) | (code == ceil)).all()
        assert torch.equal(w, q.dequantize(code))
        turned += int((code != ratio.round().clamp(q.qmin, q.qmax)).sum())
    assert turned > 5


@pytest.mark.parametrize("bits", ["3", "w2a32"])
def test_no_layer_is_further_from_full_precision_than_with_the_nearest_rounding(bits):
    """Errors computed again, layer by layer, from the inputs that the finished network gives each layer."""
    net, start = network(bits).eval(), network(bits)
    method = rounded(net, batches(2), QUICK)
    images = torch.cat([x for x, _ in batches(2)])
    smaller = 0
    for name, (w, _) in latent_weights(net).items():
        layer_name = name.removesuffix(".parametrizations.weight.original")
        layer, seen = net.get_submodule(layer_name), {}
        handle = layer.register_forward_hook(lambda _, args, out, seen=seen: seen.update(x=args[0], y=out))
        original, learned = latent_weights(start)[name][0].detach(), w.detach().clone()
        with torch.no_grad():
            net(images)
            errors, x = [seen["y"]], seen["x"]
            w.copy_(original)
            errors.append(layer(x))
            handle.remove()
            full = network(bits).eval()
            full.get_submodule(layer_name).register_forward_hook(lambda *a, seen=seen: seen.update(y=a[2]))
            with disabled(full):
                full(images)
            w.copy_(learned)
        after, before = ((out - seen["y"]).square().sum(1).mean().item() for out in errors)
        log = method.log()[layer_name]
        assert after <= before
        assert log["learned"] == pytest.approx(after, rel=1e-4)
        assert log["nearest"] == pytest.approx(before, rel=1e-4)
        smaller += after < before
    assert smaller >= 2


def one_layer(seed: int) -> tuple[nn.Module, Tensor]:
    """Eight inputs that go together, two outputs."""
    generator = torch.Generator().manual_seed(seed)
    net = nn.Sequential(nn.Linear(8, 2))
    with torch.no_grad():
        net[0].weight.copy_(0.2 * torch.randn(2, 8, generator=generator))
        net[0].bias.zero_()
    quantize_(net, QuantSpec(weight_bits=3, act_bits=None, keep=()))
    x = torch.randn(64, 2, generator=generator) @ torch.randn(2, 8, generator=generator)
    return net, x + 0.5 * torch.randn(64, 8, generator=generator)


def best_and_nearest(net: nn.Module, x: Tensor) -> tuple[float, float]:
    """The smallest error of all roundings up or down, by trying each of them, and the nearest's."""
    ((w, q),) = latent_weights(net).values()
    ratio = (w / q.step_size).detach()
    choices = torch.tensor(list(product((0.0, 1.0), repeat=8)))
    best = 0.0
    for row, step in zip(ratio, q.step_size.detach().flatten(), strict=True):
        codes = (row.floor() + choices).clamp(q.qmin, q.qmax)
        best += float(((codes * step - row * step) @ x.T).square().mean(1).min())
    nearest = float(((q(w) - w).detach() @ x.T).square().mean(1).sum())
    return best, nearest


def test_one_layer_is_never_worse_than_nearest_and_comes_near_the_best_of_all_roundings():
    """Every rounding up or down of eight weights, tried one by one."""
    distance = distance_of_nearest = 0.0
    for seed in range(8):
        net, x = one_layer(seed)
        twin, _ = one_layer(seed)
        rounded(twin, [(x, torch.zeros(64))], method_class=PTQ)
        best, nearest = best_and_nearest(twin, x)
        log = rounded(net, [(x, torch.zeros(64))], Config(iterations=400, rate=0.03)).log()["0"]
        assert log["nearest"] == pytest.approx(nearest, rel=1e-4)
        assert best * (1 - 1e-4) <= log["learned"] <= nearest * (1 + 1e-4)  # float32 sums
        distance += log["learned"] - best
        distance_of_nearest += nearest - best
    assert distance < 0.4 * distance_of_nearest  # 0.29; the relaxation ends in local minima


def test_the_regularizer_decides_every_weight():
    shares = []
    for strength in (0.01, 0.0):
        net, x = one_layer(0)
        method = AdaRound(
            Setup(model=net, loss=F.cross_entropy, recipe=RECIPE), Config(rate=0.03, regularizer=strength)
        )
        method.iterations, method.generator = 400, torch.Generator().manual_seed(0)
        PTQ.begin(method, [(x, torch.zeros(64))])
        ((w, q),) = latent_weights(net).values()
        rounding = Rounding(q, w.detach())
        method._learn(net[0], q, rounding, [(x, (x @ w.T).detach())])
        decided = (rounding.h - 0.5).abs() > 0.45
        shares.append(decided[rounding.width > 0].float().mean().item())
    assert shares[0] > 0.9
    assert shares[0] > shares[1] + 0.2


def test_h_starts_at_the_weights_themselves():
    net, _ = one_layer(1)
    rounded(net, [(torch.ones(4, 8), None)], method_class=PTQ)
    ((w, q),) = latent_weights(net).values()
    rounding = Rounding(q, w.detach())
    clipped = w.clamp(q.step_size * q.qmin, q.step_size * q.qmax)
    torch.testing.assert_close(rounding.weight, clipped)


@pytest.fixture(scope="module")
def plain() -> list[Tensor]:
    """The weights after QUICK."""
    net = network("3")
    rounded(net, batches(2), QUICK)
    return quantized(net)


def test_labels_play_no_part_and_the_seed_does(plain):
    same = []
    for seed, shift in ((0, 1), (1, 0)):
        net = network("3")
        rounded(net, [(x, y + shift) for x, y in batches(2)], QUICK, seed=seed)
        same.append(all(torch.equal(a, b) for a, b in zip(plain, quantized(net), strict=True)))
    assert same == [True, False]


@pytest.mark.parametrize(
    "changes", [{"iterations": 20}, {"rate": 0.1}, {"regularizer": 1.0}, {"images": 3}, {"ranges": "minmax"}]
)
def test_every_setting_changes_something(plain, changes):
    net = network("3")
    rounded(net, batches(2), replace(QUICK, **changes))
    assert any(not torch.equal(a, b) for a, b in zip(plain, quantized(net), strict=True))


@pytest.mark.parametrize(("images", "iterations"), [(4, 512), (16, 128), (32, 128)])
def test_every_image_is_shown_64_times(images, iterations, monkeypatch):
    """32 images in two batches of 16: no more than those are there at a time."""
    shown = []
    draw = AdaRound._sample

    def counted(self, pairs):
        x, target = draw(self, pairs)
        shown.append(len(x))
        return x, target

    monkeypatch.setattr(AdaRound, "_sample", counted)
    method = rounded(one_layer(0)[0], [(x, None) for x in torch.rand(2, 16, 8)], Config(images=images))
    assert method.iterations == len(shown) == iterations
    assert sum(shown) == 64 * 32


def test_without_weight_quantizers_there_is_nothing_to_round():
    assert rounded(network("fp"), batches(1)).log() == {}


def test_a_grid_that_moves_with_its_weights_keeps_the_nearest_rounding(monkeypatch):
    """Levels that stand for w / max|w| cannot be put in the place of w."""

    def squashed(original):
        def method(self, v):
            return original(self, v / v.abs().amax() if self.role == "weight" else v)

        return method

    monkeypatch.setattr(LSQ, "quantize", squashed(LSQ.quantize))
    monkeypatch.setattr(LSQ, "codes", squashed(LSQ.codes))
    net, twin, start = network("3"), network("3"), network("3").state_dict()
    method = rounded(net, batches(2), QUICK)
    rounded(twin, batches(2), method_class=PTQ)
    for name, (w, _) in latent_weights(net).items():
        assert torch.equal(w, start[name])
    assert all(torch.equal(a, b) for a, b in zip(quantized(net), quantized(twin), strict=True))
    assert all(layer["turned"] == 0 for layer in method.log().values())


@pytest.mark.parametrize("setting", [{"iterations": -1}, {"rate": -0.1}, {"images": 0}, {"percentile": 1.0}])
def test_settings_are_checked(setting):
    with pytest.raises(UsageError, match=r"adaround\.\w+: expected"):
        Config(**setting)
