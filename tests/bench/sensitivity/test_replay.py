"""A run from the changed layer on is the whole run, to the bit, whatever the network's connections."""

from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from flatqat.bench.sensitivity.replay import Replay
from flatqat.models.base import build
from flatqat.quant.apply import quantizable


class Tangled(nn.Module):
    """Changes in place on both sides of modules, a module called twice, one never, a skip over all."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 6, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.twice = nn.Conv2d(6, 6, 1)
        self.blocks = nn.Sequential(*(nn.Sequential(nn.Conv2d(6, 6, 3, padding=1), nn.ReLU()) for _ in "ab"))
        self.unused = nn.Linear(6, 6)
        self.last = nn.Linear(6, 4)

    def forward(self, x):
        x = self.first(x)
        y = self.relu(x)  # x is changed, too
        y = self.twice(y)
        y += x
        z = self.blocks(y).mul_(2)
        z = self.twice(F.relu_(z)) + x
        return self.last(z.mean((2, 3)))


def networks() -> dict[str, nn.Module]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return {
            "tangled": Tangled().eval(),
            "tiny": build("tiny", classes=4, seed=0).net.eval(),
            "tiny-seg": build("tiny-seg", classes=3, seed=0).net.eval(),
        }


@pytest.mark.parametrize("name", ["tangled", "tiny", "tiny-seg"])
@torch.no_grad()
def test_a_changed_layer_gives_what_the_whole_run_gives(name):
    net, x = networks()[name], torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    layers = quantizable(net)
    replay = Replay(net, layers)
    with replay.installed():
        assert replay.verify(lambda: net(x[:1]))
        assert torch.equal(replay.record(lambda: net(x)), net(x))
        for layer_name, layer in layers.items():
            before = layer.weight.clone()
            layer.weight.data = before * 0.9
            whole = net(x)
            assert torch.equal(replay.run([layer_name], lambda: net(x)), whole)
            layer.weight.data = before
    assert torch.equal(net(x), replay.run(list(layers), lambda: net(x)))


def counted(calls, name, forward, *args):
    calls.append(name)
    return forward(*args)


@torch.no_grad()
def test_what_ran_before_does_not_run_again():
    net, x, calls = networks()["tiny"], torch.rand(2, 3, 32, 32), []
    layers = quantizable(net)
    with (replay := Replay(net, layers)).installed():
        replay.verify(lambda: net(x))
        replay.record(lambda: net(x))
        for name, layer in layers.items():
            if isinstance(layer, nn.Conv2d):
                layer._conv_forward = partial(counted, calls, name, layer._conv_forward)
        replay.run(["stage2.0"], lambda: net(x))
    assert calls == ["stage2.0", "stage3.0"]
    shares = [replay.remaining[name] for name in layers]
    assert shares == sorted(shares, reverse=True)
    assert 0 < shares[-1] < shares[0] <= 1


@torch.no_grad()
def test_of_several_layers_the_first_decides():
    net, x = networks()["tiny"], torch.rand(2, 3, 32, 32)
    layers = quantizable(net)
    with (replay := Replay(net, layers)).installed():
        replay.verify(lambda: net(x))
        replay.record(lambda: net(x))
        for name in ("stage1.0", "stage3.0"):
            layers[name].weight.data = layers[name].weight * 0.5
        assert torch.equal(replay.run(["stage3.0", "stage1.0"], lambda: net(x)), net(x))
        assert not torch.equal(replay.run(["stage3.0"], lambda: net(x)), net(x))


class Keeps(nn.Module):
    """What no record of outputs can know: the second module changes what the first one kept."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4)
        self.b.register_forward_hook(lambda *_: self.__dict__.update(kept=self.kept + 1))

    def forward(self, x):
        self.__dict__["kept"] = torch.zeros(4)
        return self.c(self.b(self.a(x)) + self.kept) * torch.rand(())


@torch.no_grad()
def test_a_network_that_cannot_be_replayed_runs_whole():
    net, x = Keeps().eval(), torch.rand(3, 4)
    layers = quantizable(net)
    with (replay := Replay(net, layers)).installed():
        assert not replay.verify(lambda: net(x))
        torch.manual_seed(0)
        replay.record(lambda: net(x))
        net.c.weight.data = net.c.weight * 2
        torch.manual_seed(5)
        whole = net(x)
        torch.manual_seed(5)
        assert torch.equal(replay.run(["c"], lambda: net(x)), whole)


class Turns(nn.Module):
    """Changes the output of its first module in place, with some images alone."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x):
        y = self.a(x)
        z = self.b(y)
        return self.c(z) + (y.mul_(2) if x.sum() > 0 else y)


@torch.no_grad()
def test_images_that_take_another_way_than_those_of_the_check_run_whole():
    net, x = Turns().eval(), torch.rand(3, 4)
    with (replay := Replay(net, quantizable(net))).installed():
        assert replay.verify(lambda: net(-x))
        replay.record(lambda: net(x))
        net.c.weight.data = net.c.weight * 2
        replayed = replay.run(["c"], lambda: net(x))
    assert not replay.exact
    assert torch.equal(replayed, net(x))


@torch.no_grad()
def test_nothing_is_left_behind():
    net = networks()["tiny"]
    before = {name: set(vars(module)) for name, module in net.named_modules()}
    with Replay(net, quantizable(net)).installed():
        assert "forward" in vars(net.conv1)
    assert {name: set(vars(module)) for name, module in net.named_modules()} == before
    assert not net.conv1._forward_pre_hooks


@pytest.mark.parametrize(
    "name", ["timm:tf_efficientnet_lite0", "timm:vit_tiny_patch16_224", "torchvision:squeezenet1_1"]
)
@torch.no_grad()
def test_networks_of_others_are_replayed_to_the_bit(name):
    pytest.importorskip(name.partition(":")[0])
    net = build(name, classes=10, seed=0).net.eval()
    x = torch.rand(2, 3, 224, 224, generator=torch.Generator().manual_seed(2))
    layers = quantizable(net)
    replay, shares = Replay(net, layers), []
    with replay.installed():
        assert replay.verify(lambda: net(x[:1]))
        replay.record(lambda: net(x))
        for layer_name in [*layers][:: len(layers) // 5]:
            before = layers[layer_name].weight.data
            layers[layer_name].weight.data = before * 0.9
            assert torch.equal(replay.run([layer_name], lambda: net(x)), net(x))
            layers[layer_name].weight.data = before
            shares.append(replay.remaining[layer_name])
    assert shares == sorted(shares, reverse=True)
