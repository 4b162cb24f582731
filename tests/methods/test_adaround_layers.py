"""AdaRound on layers of all kinds: what each is given, and in which order."""

from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from flatqat.methods.adaround import calls_in_order, inputs_and_targets
from flatqat.methods.ptq import PTQ
from flatqat.quant.apply import disabled, latent_weights, quantize_, quantizers
from flatqat.spec import QuantSpec
from tests.helpers.adaround_runs import QUICK, rounded
from tests.helpers.method_runs import batches


class Odd(nn.Module):
    """Grouped and one-dimensional convolutions, a layer used twice, and one not used, in another order."""

    def __init__(self, in_place: bool) -> None:
        super().__init__()
        self.relu = partial(F.relu, inplace=in_place)
        self.last = nn.Linear(8, 4)
        self.unused = nn.Linear(8, 8)
        self.twice = nn.Linear(8, 8)
        self.grouped = nn.Conv2d(4, 8, 3, groups=4)
        self.flat = nn.Conv1d(8, 8, 3, padding=1)
        self.first = nn.Conv2d(3, 4, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.grouped(self.relu(self.first(x))))
        x = self.relu(self.flat(x.flatten(2))).mean(2)
        return self.last(self.relu(self.twice(self.relu(self.twice(x)))))


def odd(bits: str, in_place: bool = False) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = Odd(in_place)
    quantize_(net, QuantSpec.parse(bits))
    return net


def test_layers_of_all_kinds_are_rounded_in_the_order_in_which_they_run():
    net = odd("3")
    method = rounded(net, batches(2), QUICK)
    assert list(method.log()) == ["first", "grouped", "flat", "twice", "last"]
    assert all(layer["learned"] <= layer["nearest"] for layer in method.log().values())
    assert sum(layer["learned"] < layer["nearest"] for layer in method.log().values()) >= 3
    assert all(q.enabled for _, q in quantizers(net))
    assert not any(module._forward_hooks for module in net.modules())
    assert net.training


def watched(net: nn.Module) -> dict[str, list[tuple[Tensor, Tensor]]]:
    """Every input and output that each layer has from now on."""
    found = {name: [] for name, _ in net.named_children()}
    for name, layer in net.named_children():
        layer.register_forward_hook(lambda _, args, out, name=name: found[name].append((args[0], out)))
    return found


@torch.no_grad()
def test_a_layer_is_given_what_whole_passes_give_it_and_nothing_behind_it_runs():
    net, twin = odd("3"), odd("3")
    for one in (net, twin):
        rounded(one, batches(1), method_class=PTQ).model.eval()
    images = [x for x, _ in batches(2)]
    originals = {name: 0.9 * w for name, (w, _) in latent_weights(net).items()}  # unlike those in the net
    whole = watched(twin)
    for batch in images:
        twin(batch)
    with disabled(twin):
        for batch in images:
            functional_call(twin, originals, (batch,))
    calls = calls_in_order(net, dict(net.named_children()), images[0])
    assert list(calls.items()) == [("first", 1), ("grouped", 1), ("flat", 1), ("twice", 2), ("last", 1)]
    ran, order = watched(net), list(calls)
    for place, name in enumerate(order):
        for found in ran.values():
            found.clear()
        pairs = inputs_and_targets(net, originals, net.get_submodule(name), calls[name], images)
        count = calls[name] * len(images)
        expected = zip(whole[name][:count], whole[name][count:], strict=True)
        for (x, target), ((x_whole, _), (_, target_whole)) in zip(pairs, expected, strict=True):
            assert torch.equal(x, x_whole)
            assert torch.equal(target, target_whole)
        assert not any(ran[behind] for behind in order[place + 1 :])


@pytest.mark.parametrize("bits", ["3", "w2a32"])
def test_activations_that_work_in_place_change_nothing(bits):
    """They overwrite what a layer gave, and before its next call."""
    logs = [rounded(odd(bits, in_place=in_place), batches(2), QUICK).log() for in_place in (False, True)]
    assert logs[0] == logs[1]
