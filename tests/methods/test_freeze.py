"""Freezing of oscillating weights: identities to the bit, and paths of codes made by hand."""

from itertools import pairwise
from math import cos, pi
from statistics import fmean

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from flatqat.errors import UsageError
from flatqat.methods import dampen, freeze
from flatqat.methods.base import Setup
from flatqat.methods.fp import FullPrecision
from flatqat.methods.freeze import Freeze, Oscillation
from flatqat.methods.qat import QAT
from flatqat.quant.lsq import LSQ
from flatqat.spec import Recipe
from tests.helpers.method_runs import assert_equal, batches, begun, network, trained

EAGER = freeze.Config(threshold=0.2, threshold_end=0.2, momentum=0.5)


FAST = Recipe(pretrain_steps=0, steps=40, batch_size=16, lr=0.3, schedule="constant")


@pytest.mark.parametrize("bits", ["3", "w2a32", "4@minmax"])
def test_freeze_above_every_frequency_is_qat(bits):
    config = freeze.Config(threshold=1.5, threshold_end=1.5)
    assert_equal(trained(Freeze, bits, config), trained(QAT, bits))


def test_in_floating_point_both_are_fp():
    for method_class in (dampen.Dampen, Freeze):
        assert_equal(trained(method_class, "fp"), trained(FullPrecision, "fp"))


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
    """A method whose first weights are put on a path of multiples of the step size by each optimizer step."""
    net = network("w3a32")
    recipe = Recipe(pretrain_steps=0, steps=len(path), batch_size=16)
    method = Freeze(Setup(model=net, loss=F.cross_entropy, recipe=recipe), config)
    method.begin(batches(1))
    name = "3.parametrizations.weight.original"
    w, q = method.weights[name]
    codes = []

    def jump(*_: object) -> None:
        with torch.no_grad():
            w[0, 0, 0].copy_(torch.tensor(path[method.steps_done]) * q.step_size[0, 0, 0])

    method.optimizer.register_step_post_hook(jump)
    for x, y in batches(len(path)):
        method.step(x, y)
        codes.append(q.codes(w)[0, 0, 0].clone())
    return method, codes


def test_a_weight_that_oscillates_is_frozen_at_its_mean_code():
    """Codes 2, 3, 0 turn round at step 3: f = 1/2 > 0.4, so the weight freezes at round(a), not at 0.

    a = c/8 + 2/8 + 3/4 + 0/2 with the code c before the first step, at most 2: rounded 1 for c from -3.
    """
    path = [[2.2, 0.0, 2.0], [3.0, 0.4, 2.0], [0.2, 0.9, 2.0], [2.2, 1.4, 2.0], [-3.0, 3.0, -3.0]]
    config = freeze.Config(threshold=0.4, threshold_end=0.4, momentum=0.5)
    method, codes = scripted(path, config)
    frozen = method.by_name(method.tracked.frozen)["3.parametrizations.weight.original"][0, 0, 0].tolist()
    assert frozen[0]
    assert not frozen[2]
    first = [c[0].item() for c in codes]
    assert first == [2, 3, 1, 1, 1]
    assert codes[4].tolist()[2] == -3
    assert method.log()["frozen"] >= 1 / method.log()["tracked"]


@pytest.mark.parametrize("bits", ["3", "3@ewgs", "3@dorefa"])
def test_frozen_weights_stay_at_their_codes_while_grids_move(bits):
    net = network(bits)
    method = Freeze(Setup(model=net, loss=F.cross_entropy, recipe=FAST), EAGER)
    method.begin(batches(1))
    before: dict[str, tuple[Tensor, Tensor]] = {}
    count, shares = 0, []
    for x, y in batches(40):
        method.step(x, y)
        shares.append(method.log()["frozen"])
        for name, (w, q) in method.weights.items():
            if name in before:
                frozen, codes = before[name]
                assert torch.equal(q.codes(w)[frozen], codes[frozen])
                assert (method.by_name(method.tracked.frozen)[name] | ~frozen).all()
            held = method.by_name(method.tracked.frozen)[name]
            if bits == "3":
                assert torch.equal(w[held], q(w)[held])
            before[name] = held.clone(), q.codes(w)
            count = max(count, int(held.sum()))
    assert count > 0
    assert any(0.1 < share < 0.9 for share in shares)  # in the end all may be frozen: rounding decides
    frozen = sum(int(f.sum()) for f, _ in before.values())
    assert shares[-1] == pytest.approx(frozen / method.log()["tracked"])


def test_the_step_size_learns_from_frozen_weights_as_from_constant_codes():
    """∂(s·c)/∂s = c for a frozen weight, LSQ's slope for the others, both times LSQ's factor."""
    net = network("w3a32")
    method = Freeze(Setup(model=net, loss=F.cross_entropy, recipe=FAST), EAGER)
    method.begin(batches(1))
    data = batches(20)
    for x, y in data[:-1]:
        method.step(x, y)
    name = "3.parametrizations.weight.original"
    w, q = method.weights[name]
    frozen, codes = (method.by_name(part)[name] for part in (method.tracked.frozen, method.tracked.codes))
    assert 0 < frozen.sum() < frozen.numel()
    with torch.no_grad():  # some that rounding has put beyond the last level count once
        beyond = frozen & (torch.arange(frozen.numel()).view_as(w) % 2 == 0)
        codes[beyond] = q.qmax
        w.copy_(torch.where(beyond, (q.qmax + 0.1) * q.step_size, w))
    assert beyond.any()
    assert not q.in_range(w)[beyond].any()
    method.optimizer.zero_grad()
    method.model.train()
    with method.perturbation.recorded() as shifts:
        F.cross_entropy(method.model(data[-1][0]), data[-1][1]).backward()
    upstream = shifts[name].grad
    ratio = (w / q.step_size).detach()
    slope = torch.where(q.in_range(w), ratio.round() - ratio, ratio.clamp(q.qmin, q.qmax))
    slope = torch.where(frozen, q.codes(w).float(), slope)
    expected = (upstream * slope).sum((1, 2, 3), keepdim=True) * q.grad_scale(w) * q.scale.sign()
    method.optimizer.zero_grad()
    method.gradient(*data[-1])
    # float32 sums over the filter in another order
    torch.testing.assert_close(q.scale.grad, expected, rtol=1e-4, atol=1e-6)


def test_only_weights_of_few_bits_are_tracked():
    middle = {"3.parametrizations.weight.original"}  # the ends have 8 bits
    assert set(begun(Freeze, bits="4")[1].weights) == middle
    assert not begun(Freeze, bits="5")[1].weights
    assert len(begun(Freeze, freeze.Config(max_bits=8), bits="5")[1].weights) == 3
    assert begun(Freeze, bits="5")[1].log() == {"tracked": 0, "frozen": 0, "oscillation": 0}


def test_the_logged_oscillation_is_the_mean_frequency_of_all_tracked_weights():
    """f = o_t / 4 + 3/4 f of each weight, one by one, over the codes that it had; nothing is frozen."""
    config = freeze.Config(threshold=1.5, threshold_end=1.5, momentum=0.25, max_bits=8)
    _, method = begun(Freeze, config, recipe=FAST)
    weights = list(method.weights.values())

    def codes() -> list[int]:
        return [code for w, q in weights for code in q.codes(w.detach()).flatten().tolist()]

    paths = [codes()]
    for x, y in batches(12):
        method.step(x, y)
        paths.append(codes())
    frequencies = []
    for path in zip(*paths, strict=True):
        frequency, last = 0.0, 0
        for before, after in pairwise(path):
            change = after - before
            frequency = 0.75 * frequency + 0.25 * (change * last < 0)
            last = change or last
        frequencies.append(frequency)
    assert len(weights) == 3
    assert method.log() == {
        "tracked": len(frequencies),
        "frozen": 0,
        "oscillation": pytest.approx(fmean(frequencies), rel=1e-6),  # float32
    }
    assert 0.001 < fmean(frequencies) < 0.5


def test_the_threshold_falls_as_a_half_cosine():
    method = begun(Freeze, bits="3")[1]
    thresholds = [method.threshold]
    for x, y in batches(6):
        method.step(x, y)
        thresholds.append(method.threshold)
    assert thresholds == pytest.approx([0.01 + 0.045 * (1 + cos(pi * k / 6)) for k in range(7)])


def test_levels_that_do_not_keep_their_codes_are_refused(monkeypatch):
    monkeypatch.setattr(LSQ, "dequantize", lambda self, codes: codes * self.step_size / 3)
    with pytest.raises(UsageError, match="freeze: expected a quantizer whose levels keep their codes"):
        begun(Freeze, bits="3")


@pytest.mark.parametrize("config", [{"momentum": 2.0}, {"threshold": -1.0}, {"max_bits": 0}])
def test_settings_of_freeze_are_checked(config):
    with pytest.raises(UsageError, match=r"freeze\.\w+: expected"):
        freeze.Config(**config)
