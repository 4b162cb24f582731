"""Dampening and freezing of oscillations: identities to the bit, closed forms, and a path made by hand."""

from math import cos, pi

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from flatqat.errors import UsageError
from flatqat.methods import dampen, freeze
from flatqat.methods.base import Setup
from flatqat.methods.fp import FullPrecision
from flatqat.methods.freeze import Freeze, Oscillation
from flatqat.methods.qat import QAT
from flatqat.quant.apply import latent_weights
from flatqat.quant.lsq import LSQ
from flatqat.spec import Recipe
from tests.methods.test_methods import RECIPE, assert_equal, batches, network, trained

EAGER = freeze.Config(threshold=0.2, threshold_end=0.2, momentum=0.5)
FAST = Recipe(pretrain_steps=0, steps=40, batch_size=16, lr=0.3, schedule="constant")


def differ(a: nn.Module, b: nn.Module) -> bool:
    pairs = zip(a.parameters(), b.parameters(), strict=True)
    return any(not torch.equal(p, q) for p, q in pairs)


@pytest.mark.parametrize("bits", ["3", "w2a32", "4@minmax"])
def test_dampen_without_strength_is_qat(bits):
    assert_equal(trained(dampen.Dampen, bits, dampen.Config(strength=0.0)), trained(QAT, bits))


@pytest.mark.parametrize("bits", ["3", "w2a32", "4@minmax"])
def test_freeze_above_every_frequency_is_qat(bits):
    config = freeze.Config(threshold=1.5, threshold_end=1.5)
    assert_equal(trained(Freeze, bits, config), trained(QAT, bits))


def test_in_floating_point_both_are_fp():
    for method in (dampen.Dampen, Freeze):
        assert_equal(trained(method, "fp"), trained(FullPrecision, "fp"))


@pytest.mark.parametrize("config", [dampen.Config(), dampen.Config(start=0.5), dampen.Config(strength=1.0)])
def test_every_option_of_dampen_changes_something(config):
    other = QAT if config == dampen.Config() else dampen.Dampen
    assert differ(trained(dampen.Dampen, "3", config), trained(other, "3"))


def test_the_strength_rises_as_a_half_cosine_from_a_quarter_of_the_training_on():
    recipe = Recipe(pretrain_steps=0, steps=8, batch_size=16)
    rule = dampen.Dampen(
        Setup(model=network("3"), loss=F.cross_entropy, recipe=recipe), dampen.Config(strength=0.4)
    )
    strengths = []
    for x, y in batches(8):
        strengths.append(rule.strength)
        rule.step(x, y)
    assert strengths[:3] == [0, 0, 0]
    assert strengths[3:] == pytest.approx([0.2 * (1 - cos(pi * k / 6)) for k in range(1, 6)])
    assert rule.strength == pytest.approx(0.4)


@pytest.mark.parametrize("aggregation", ["sum", "kernel_mean"])
def test_dampen_adds_the_gradient_of_its_regulariser(aggregation):
    """Against automatic differentiation of λ · ‖sg(Q(w)) − clip(w, s·low, s·high)‖², clipped weights too."""
    net = network("3")
    config = dampen.Config(strength=0.7, start=0.0, aggregation=aggregation)
    rule = dampen.Dampen(Setup(model=net, loss=F.cross_entropy, recipe=RECIPE), config)
    rule.begin(batches(1))
    rule.step(*batches(1)[0])
    rule.optimizer.zero_grad()
    twin = network("3")
    twin.load_state_dict(net.state_dict())
    x, y = batches(2)[1]
    rule.gradient(x, y)
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
        (slope,) = torch.autograd.grad(rule.strength * total, w)
        torch.testing.assert_close(p.grad, q.grad + slope)
        assert (slope != 0).any()
        clipped += int((~quantizer.in_range(w)).sum())
    assert clipped


def test_dampen_draws_weights_to_their_levels():
    def distance(net: nn.Module) -> float:
        pairs = latent_weights(net).values()
        apart = [((w - q(w)) / q.step_size)[q.in_range(w)].detach() for w, q in pairs if q.bits == 3]
        return torch.cat(apart).square().mean().item()

    pulled = trained(dampen.Dampen, "3", dampen.Config(strength=2.0, start=0.0))
    assert distance(pulled) < 0.75 * distance(trained(QAT, "3"))


def test_a_path_of_codes_by_hand():
    """Codes 0 1 1 0 0 1 | a second weight that only rises | a third that jumps by two and stays."""
    path = torch.tensor([[0, 0, 0], [1, 1, 0], [1, 2, 2], [0, 3, 2], [0, 3, 2], [1, 3, 2]], dtype=torch.int32)
    seen = Oscillation(path[0], momentum=0.5)
    turned = torch.stack([seen.add(codes) for codes in path[1:]]).int().tolist()
    assert turned == [[0, 0, 0], [0, 0, 0], [1, 0, 0], [0, 0, 0], [1, 0, 0]]
    assert seen.frequency.tolist() == [0.5 + 0.125, 0, 0]  # o = 0 0 1 0 1: ½ + ½ · ½ · ½
    assert seen.mean.tolist() == [0.59375, 2.78125, 1.875]
    seen.freeze(0.625)  # only above the threshold
    assert not seen.frozen.any()
    seen.freeze(0.6)
    assert seen.frozen.tolist() == [True, False, False]
    assert seen.codes.tolist() == [1, 3, 2]


def test_the_code_of_a_frozen_weight_is_the_mean_not_the_last_one():
    """Codes 0 3 3 0 at m = 1/4: a = 0, 0.75, 1.3125, 0.984, so 1; o = 1 at the third step alone."""
    path = torch.tensor([[0], [3], [3], [0]], dtype=torch.int32)
    seen = Oscillation(path[0], momentum=0.25)
    for codes in path[1:]:
        seen.add(codes)
    assert seen.frequency.tolist() == [0.25]
    seen.freeze(0.2)
    assert seen.frozen.all()
    assert seen.codes.tolist() == [1]


def scripted(path: list[list[float]], config: freeze.Config) -> tuple[Freeze, list[Tensor]]:
    """A rule whose first weights are put on a path of multiples of the step size by each optimizer step."""
    net = network("w3a32")
    recipe = Recipe(pretrain_steps=0, steps=len(path), batch_size=16)
    rule = Freeze(Setup(model=net, loss=F.cross_entropy, recipe=recipe), config)
    rule.begin(batches(1))
    name = "3.parametrizations.weight.original"
    w, q = rule.weights[name]
    codes = []

    def jump(*_: object) -> None:
        with torch.no_grad():
            w[0, 0, 0].copy_(torch.tensor(path[rule.steps_done]) * q.step_size[0, 0, 0])

    rule.optimizer.register_step_post_hook(jump)
    for x, y in batches(len(path)):
        rule.step(x, y)
        codes.append(q.codes(w)[0, 0, 0].clone())
    return rule, codes


def test_a_weight_that_oscillates_is_frozen_at_its_mean_code():
    """m = 1/2, threshold 0.4: o = 1 at steps 3 and 4, f = 0.5 at step 3, when a = 1.6 or so: code 2."""
    path = [[1.2, 0.0, 2.0], [2.3, 0.4, 2.0], [1.1, 0.9, 2.0], [2.2, 1.4, 2.0], [-3.0, 3.0, -3.0]]
    config = freeze.Config(threshold=0.4, threshold_end=0.4, momentum=0.5)
    rule, codes = scripted(path, config)
    seen = rule.tracked["3.parametrizations.weight.original"]
    frozen = seen.frozen[0, 0, 0].tolist()
    assert frozen[0]
    assert not frozen[2]
    first = [c[0].item() for c in codes]
    assert first[:2] == [1, 2]
    assert first[2] == first[3] == first[4] in (1, 2)
    assert codes[4].tolist()[2] == -3
    assert rule.log()["frozen"] >= 1 / rule.log()["tracked"]


@pytest.mark.parametrize("bits", ["3", "3@ewgs", "3@dorefa"])
def test_frozen_weights_stay_at_their_codes_while_grids_move(bits):
    net = network(bits)
    rule = Freeze(Setup(model=net, loss=F.cross_entropy, recipe=FAST), EAGER)
    rule.begin(batches(1))
    before: dict[str, tuple[Tensor, Tensor]] = {}
    count, shares = 0, []
    for x, y in batches(40):
        rule.step(x, y)
        shares.append(rule.log()["frozen"])
        for name, (w, q) in rule.weights.items():
            if name in before:
                frozen, codes = before[name]
                assert torch.equal(q.codes(w)[frozen], codes[frozen])
                assert (rule.tracked[name].frozen | ~frozen).all()
            held = rule.tracked[name].frozen
            if bits == "3":
                assert torch.equal(w[held], q(w)[held])
            before[name] = held.clone(), q.codes(w)
            count = max(count, int(held.sum()))
    assert count > 20
    assert any(0.1 < share < 0.9 for share in shares)  # in the end all may be frozen: rounding decides
    assert shares[-1] == pytest.approx(sum(int(f.sum()) for f, _ in before.values()) / rule.log()["tracked"])


def test_the_step_size_learns_from_frozen_weights_as_from_constant_codes():
    """∂(s·c)/∂s = c for a frozen weight, LSQ's slope for the others, both times LSQ's factor."""
    net = network("w3a32")
    rule = Freeze(Setup(model=net, loss=F.cross_entropy, recipe=FAST), EAGER)
    rule.begin(batches(1))
    data = batches(20)
    for x, y in data[:-1]:
        rule.step(x, y)
    name = "3.parametrizations.weight.original"
    (w, q), seen = rule.weights[name], rule.tracked[name]
    assert 0 < seen.frozen.sum() < seen.frozen.numel()
    with torch.no_grad():  # some that rounding has put beyond the last level count once
        beyond = seen.frozen & (torch.arange(seen.frozen.numel()).view_as(w) % 2 == 0)
        seen.codes[beyond] = q.qmax
        w.copy_(torch.where(beyond, (q.qmax + 0.1) * q.step_size, w))
    assert beyond.any()
    assert not q.in_range(w)[beyond].any()
    rule.optimizer.zero_grad()
    rule.model.train()
    with rule.behind.watched() as shifts:
        F.cross_entropy(rule.model(data[-1][0]), data[-1][1]).backward()
    upstream = shifts[name].grad
    ratio = (w / q.step_size).detach()
    slope = torch.where(q.in_range(w), ratio.round() - ratio, ratio.clamp(q.qmin, q.qmax))
    slope = torch.where(seen.frozen, q.codes(w).float(), slope)
    expected = (upstream * slope).sum((1, 2, 3), keepdim=True) * q.grad_scale(w) * q.scale.sign()
    rule.optimizer.zero_grad()
    rule.gradient(*data[-1])
    torch.testing.assert_close(q.scale.grad, expected, rtol=1e-4, atol=1e-6)


def test_only_weights_of_few_bits_are_tracked():
    assert set(Freeze_on("4").tracked) == {"3.parametrizations.weight.original"}  # the ends have 8 bits
    assert not Freeze_on("5").tracked
    assert len(Freeze_on("5", freeze.Config(max_bits=8)).tracked) == 3
    assert Freeze_on("5").log() == {"tracked": 0, "frozen": 0, "oscillation": 0}


def Freeze_on(bits: str, config: freeze.Config | None = None) -> Freeze:
    rule = Freeze(Setup(model=network(bits), loss=F.cross_entropy, recipe=RECIPE), config)
    rule.begin(batches(1))
    return rule


def test_the_threshold_falls_as_a_half_cosine():
    rule = Freeze_on("3")
    thresholds = [rule.threshold]
    for x, y in batches(6):
        rule.step(x, y)
        thresholds.append(rule.threshold)
    assert thresholds == pytest.approx([0.01 + 0.045 * (1 + cos(pi * k / 6)) for k in range(7)])


def test_levels_that_do_not_keep_their_codes_are_refused(monkeypatch):
    monkeypatch.setattr(LSQ, "dequantize", lambda self, codes: codes * self.step_size / 3)
    with pytest.raises(UsageError, match="freeze: expected a quantizer whose levels keep their codes"):
        Freeze_on("3")


@pytest.mark.parametrize("config", [{"momentum": 2.0}, {"threshold": -1.0}, {"max_bits": 0}])
def test_settings_of_freeze_are_checked(config):
    with pytest.raises(UsageError, match=r"freeze\.\w+: expected"):
        freeze.Config(**config)


@pytest.mark.parametrize("config", [{"strength": -1.0}, {"start": 1.5}])
def test_settings_of_dampen_are_checked(config):
    with pytest.raises(UsageError, match=r"dampen\.\w+: expected"):
        dampen.Config(**config)
