"""What a network costs, against counts by hand from architecture tables, and against torch's counter."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations
from torch.utils.flop_counter import FlopCounterMode

from flatqat.models.base import build
from flatqat.quant.apply import quantize_
from flatqat.quant.cost import network_cost
from flatqat.quant.layer_cost import Call
from flatqat.spec import QuantSpec

# (in, out, stride) of the first convolution of each of ResNet-18's eight blocks
RESNET_18 = [(64, 64, 1), (64, 64, 1), (64, 128, 2), (128, 128, 1), (128, 256, 2), (256, 256, 1)]
RESNET_18 += [(256, 512, 2), (512, 512, 1)]
# (expansion, out, repeats, stride) of MobileNetV2, table 2 of its paper
MOBILENET_V2 = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2)]
MOBILENET_V2 += [(6, 320, 1, 1)]


def quantized(net: nn.Module, bits: str = "4", **settings: str) -> nn.Module:
    quantize_(net, QuantSpec.parse(bits, **settings))
    return net


def resnet_18() -> tuple[int, int, int]:
    """MACs, weights and channels with a BatchNorm of ResNet-18 at 224 pixels."""
    macs, weights, channels, side = 49 * 3 * 64 * 112**2, 49 * 3 * 64, 64, 56
    for before, out, stride in RESNET_18:
        side //= stride
        sizes = [9 * before * out, 9 * out * out] + [before * out] * (before != out)
        macs, weights = macs + sum(sizes) * side**2, weights + sum(sizes)
        channels += len(sizes) * out
    return macs + 512 * 1000, weights + 512 * 1000, channels


def mobilenet_v2() -> tuple[int, int, int]:
    """The same of MobileNetV2."""
    macs, weights, channels, before, side = 9 * 3 * 32 * 112**2, 9 * 3 * 32, 32, 32, 112
    for expansion, out, repeats, first_stride in MOBILENET_V2:
        for repeat in range(repeats):
            stride, wide = first_stride if repeat == 0 else 1, before * expansion
            expand = before * wide if expansion > 1 else 0
            macs += expand * side**2
            side //= stride
            macs += (9 * wide + wide * out) * side**2
            weights += expand + 9 * wide + wide * out
            channels += wide * (expansion > 1) + wide + out
            before = out
    last = 320 * 1280
    return macs + last * side**2 + 1280 * 1000, weights + last + 1280 * 1000, channels + 1280


@pytest.mark.parametrize(("name", "by_hand"), [("resnet18", resnet_18), ("mobilenet_v2", mobilenet_v2)])
def test_networks_for_imagenet_cost_what_their_tables_say(name, by_hand):
    pytest.importorskip("torchvision", exc_type=ImportError)
    macs, weights, channels = by_hand()
    net = build(f"torchvision:{name}", classes=1000, seed=0).net
    cost = network_cost(net, (3, 224, 224)).total()
    assert cost.macs == macs, "1.814e9 and 3.008e8"
    assert cost.macs_by_bits == {"w32a32": macs}
    assert cost.bops == 32 * 32 * macs
    assert cost.weight_bytes == 4 * weights
    assert cost.other_bytes == 4 * (4 * channels + 1000), "BatchNorm's four vectors and the last bias"
    assert weights + 2 * channels + 1000 == sum(p.numel() for p in net.parameters()), "11.69 M and 3.50 M"


def test_a_small_net_at_mixed_bits_by_hand():
    net = nn.Sequential(
        nn.Conv2d(3, 5, 3, stride=2, padding=1),  # 8x8 -> 4x4
        nn.BatchNorm2d(5),
        nn.ReLU(),
        nn.Conv2d(5, 10, 3, groups=5, dilation=2, padding=2, bias=False),  # 4x4
        nn.Flatten(),
        nn.Linear(160, 7),
    )
    cost = network_cost(quantized(net, "3", keep="first", layer_bits="5=w2a4"), (3, 8, 8)).total()
    conv, grouped, linear = 27 * 5 * 16, 9 * 10 * 16, 160 * 7
    assert cost.macs_by_bits == {"w2a4": linear, "w3a3": grouped, "w8a8": conv}
    assert cost.macs == conv + grouped + linear
    assert cost.bops == 64 * conv + 9 * grouped + 8 * linear
    assert cost.weight_bytes == 135 + 34 + 280, "90 weights of 3 bits are 33.75 bytes"
    steps = (5 + 1) + (10 + 1) + (7 + 1)  # one for each output channel, one for the input
    assert cost.other_bytes == 4 * (5 + 4 * 5 + 7 + steps)
    # image at 8 bits and 80 values at 3; 80 at 3 and 160 at 4; 160 at 4 and 7 in float32
    assert cost.activation_bytes == max(192 + 30, 30 + 80, 80 + 28)
    assert cost.size_bytes == cost.weight_bytes + cost.other_bytes


def test_a_transposed_convolution_multiplies_each_input_value_with_the_whole_kernel():
    net = nn.ConvTranspose2d(6, 4, 3, stride=2, padding=1, output_padding=1, groups=2, bias=False)
    (layer,) = network_cost(quantized(net, "4", keep="none"), (6, 5, 7)).layers.values()
    assert layer.macs == (6 * 5 * 7) * (4 // 2) * 9
    assert (layer.weights, layer.weight_bits, layer.act_bits) == (6 * 2 * 9, 4, 4)
    assert layer.calls == (Call(place=0, inputs=210, outputs=4 * 10 * 14),)


class Shared(nn.Module):
    """Two layers with one weight, of which the first runs twice."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(8, 8, bias=False), nn.Linear(8, 8)
        self.b.weight = self.a.weight

    def forward(self, x):
        return self.b(self.a(self.a(x)))


@pytest.mark.parametrize("bits", ["fp", "4"])
def test_each_call_counts_and_a_shared_weight_once(bits):
    costs = network_cost(quantized(Shared(), bits), (3, 5, 8)).layers
    tokens = 3 * 5
    assert (costs["a"].macs, costs["b"].macs) == (2 * tokens * 64, tokens * 64)
    assert (costs["a"].weights, costs["b"].weights) == (64, 0)
    assert [call.place for call in costs["a"].calls] == [0, 1]
    assert network_cost(Shared(), (3, 5, 8)).other_values == 8


@pytest.mark.parametrize("normed", [parametrizations.weight_norm, parametrizations.spectral_norm])
def test_a_computed_weight_counts_as_the_weight_that_is_left_of_it(normed):
    plain, net = nn.Linear(8, 4), normed(nn.Linear(8, 4))
    assert network_cost(net, (1, 1, 8)).total() == network_cost(plain, (1, 1, 8)).total()


@pytest.mark.parametrize("model", ["timm:vit_tiny_patch16_224", "tiny"])
def test_layers_and_products_of_attention_together_are_what_torch_counts(model):
    if model.startswith("timm:"):
        pytest.importorskip("timm", exc_type=ImportError)
    net = build(model, classes=10, seed=0).net.eval()
    side = 224 if "224" in model else 32
    cost = network_cost(net, (3, side, side))
    attention = 2 * 12 * 197**2 * 192 if "vit" in model else 0  # Q·K and A·V in twelve blocks
    assert cost.functional_macs == attention
    layers = sum(layer.macs for layer in cost.layers.values())
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net(torch.zeros(1, 3, side, side))
    # the kernels of attention on a CPU are not in torch's list, so its count is of layers alone
    assert counter.get_total_flops() == 2 * layers
    assert cost.total().macs == layers + attention
    quantize_(net, QuantSpec.parse("4", keep="none"))
    assert network_cost(net, (3, side, side)).total().bops == 16 * layers + 1024 * attention


def test_quantizers_change_bits_alone_and_the_run_changes_nothing():
    net = build("tiny", classes=10, seed=0).net
    plain = network_cost(net, (3, 32, 32))
    quantized(net, "4")
    net.train()
    next(net.children()).eval()
    modes = [module.training for module in net.modules()]
    state = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    drawn = torch.random.get_rng_state()
    costs = network_cost(net, (3, 32, 32)).layers
    assert torch.equal(torch.random.get_rng_state(), drawn)
    assert [module.training for module in net.modules()] == modes
    assert all(torch.equal(tensor, state[name]) for name, tensor in net.state_dict().items())
    assert not any(module._forward_hooks for module in net.modules())
    assert {name: replace(cost, weight_bits=32, act_bits=32) for name, cost in costs.items()} == plain.layers


def test_windows_that_slide_over_an_image_all_count():
    net = nn.Conv2d(3, 2, 1, bias=False)
    cost = network_cost(net, (3, 4, 8), run=lambda x: (net(x[..., :4]), net(x[..., 4:])))
    assert cost.total().macs == 6 * 32
    assert len(cost.layers[""].calls) == 2


class Direct(nn.Module):
    """A layer that is called, one whose weight is used without a call, one with both; and attention."""

    def __init__(self):
        super().__init__()
        self.called, self.used, self.both = nn.Linear(8, 8), nn.Linear(8, 24), nn.Linear(24, 8)

    def forward(self, x):
        tokens = self.called(x.flatten(1, 2))
        y = self.both(nn.functional.linear(tokens, self.used.weight, self.used.bias))
        return (y @ y.mT) @ (y @ self.both.weight.mT[:8])


@pytest.mark.parametrize("bits", ["fp", "4", "w4", "w32a4"])
def test_products_with_a_weight_cost_its_bits_where_its_layer_is_not_called(bits):
    net, tokens = quantized(Direct(), bits), 3 * 5
    cost = network_cost(net, (3, 5, 8))
    assert cost.functional_macs == tokens**2 * 8 + tokens**2 * 8
    called, used, both = (cost.layers[name] for name in ("called", "used", "both"))
    assert (called.macs, called.direct_macs) == (tokens * 64, 0)
    assert used.macs == used.direct_macs == tokens * 8 * 24
    assert (both.macs, both.direct_macs) == (tokens * (24 * 8 + 64), tokens * 64)
    assert [(call.place, call.direct) for call in both.calls] == [(2, False), (3, True)]
    assert used.calls == (Call(place=1, inputs=tokens * 8, outputs=tokens * 24, direct=True),)
    assert used.act_bits == 32
    assert used.bops == used.macs * used.weight_bits * 32
    assert replace(used, weight_bits=4, act_bits=4).bops == used.macs * 4 * 32, (
        "whatever bits inputs would get"
    )
    inside = both.weight_bits * (tokens * 24 * 8 * both.act_bits + tokens * 64 * 32)
    assert both.bops == inside
    layers = called.bops + used.bops + both.bops
    total = cost.total()
    assert total.bops == layers + 1024 * cost.functional_macs
    assert sum(total.macs_by_bits.values()) == total.macs


@pytest.mark.parametrize("model", ["torchvision:swin_t", "timm:beit_base_patch16_224"])
def test_transformers_that_use_weights_without_a_call_have_no_products_but_those_of_attention(model):
    source = model.partition(":")[0]
    pytest.importorskip(source, exc_type=ImportError)
    net = build(model, classes=10, seed=0).net.eval()
    cost = network_cost(net, (3, 224, 224))
    assert all(layer.macs >= layer.weights for layer in cost.layers.values())
    assert 0 < cost.functional_macs < 0.1 * cost.total().macs
