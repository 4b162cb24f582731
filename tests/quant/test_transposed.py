"""Transposed convolutions: grids along the output channels, which are the second axis of their weight."""

import pytest
import torch
from torch import nn

from flatqat import registry
from flatqat.methods.adaround import AdaRound, of_channels
from flatqat.methods.base import Setup
from flatqat.metrics.loss import cross_entropy
from flatqat.quant.apply import calibrate, latent_weights, quantize_
from flatqat.quant.audit import audit, summary
from flatqat.quant.base import Quantizer
from flatqat.quant.cost import network_cost
from flatqat.spec import QuantSpec, Recipe

LAYERS = {
    "1d": lambda: nn.ConvTranspose1d(4, 6, 3),
    "2d": lambda: nn.ConvTranspose2d(4, 6, 3, stride=2),
    "3d": lambda: nn.ConvTranspose3d(4, 6, 2),
    "in groups": lambda: nn.ConvTranspose2d(4, 6, 3, groups=2),
    "to one channel": lambda: nn.ConvTranspose2d(4, 1, 3),
}
METHODS = [n for n in registry.names(registry.METHODS) if registry.load(registry.METHODS, n).quantizes]


def images(layer: nn.Module) -> torch.Tensor:
    return torch.rand(16, 4, *[5] * (layer.weight.ndim - 2), generator=torch.Generator().manual_seed(0))


def made(kind: str, bits: str, ranges: str = "mse") -> nn.Module:
    torch.manual_seed(0)
    layer = LAYERS[kind]()
    with torch.no_grad():
        layer.weight *= torch.linspace(1, 9, layer.weight.shape[1]).view(
            1, -1, *[1] * (layer.weight.ndim - 2)
        )
    net = nn.Sequential(layer).eval()
    quantize_(net, QuantSpec.parse(bits, keep="none"))
    calibrate(net, [images(layer)], ranges)
    return net


@pytest.mark.parametrize("name", registry.names(registry.QUANTIZERS))
@pytest.mark.parametrize("ranges", ["own", "minmax", "mse", "percentile"])
@pytest.mark.parametrize("kind", LAYERS)
def test_a_channel_is_quantized_like_one_of_an_ordinary_convolution(kind, ranges, name):
    """The same numbers with the axes exchanged, through an ordinary layer's quantizer."""
    net = made(kind, f"w3@{name}", ranges)
    ((w, q),) = latent_weights(net).values()
    ordinary = nn.Linear(w[:, 0].numel(), w.shape[1])
    with torch.no_grad():
        ordinary.weight.copy_(w.transpose(0, 1).flatten(1))
    other = nn.Sequential(ordinary)
    quantize_(other, QuantSpec.parse(f"w3@{name}", keep="none"))
    calibrate(other, [], ranges)
    exchanged = q(w).transpose(0, 1).flatten(1)
    torch.testing.assert_close(exchanged, ordinary.weight, rtol=1e-6, atol=1e-6)
    assert q.scale.numel() == latent_weights(other)["0.parametrizations.weight.original"][1].scale.numel()


@pytest.mark.parametrize("kind", LAYERS)
def test_eight_bits_cost_about_nothing_and_nothing_stays_in_floating_point(kind):
    net = made(kind, "8")
    x = images(net[0])
    torch.manual_seed(0)
    plain = LAYERS[kind]()
    with torch.no_grad():
        plain.weight.copy_(latent_weights(net)["0.parametrizations.weight.original"][0])
        assert (net(x) - plain(x)).norm() < 0.01 * plain(x).norm()
    rows = audit(net, x)
    assert [(row.tensor, row.bits) for row in rows] == [("weight", 8), ("input", 8)]
    assert summary(rows)["floating_weights"] == 0


@pytest.mark.parametrize("kind", LAYERS)
def test_adaround_turns_weights_and_lowers_the_error_of_every_channel(kind):
    net = made(kind, "3")
    rule = AdaRound(Setup(model=net, loss=cross_entropy, recipe=Recipe(pretrain_steps=0, steps=0)))
    rule.begin([(images(net[0]), torch.zeros(16))])
    (log,) = rule.log().values()
    assert log["turned"] > 0
    assert log["learned"] < log["nearest"]


def test_of_channels_finds_the_weights_of_an_output_channel():
    """A channel's weights are those that change its output, in groups, too."""
    for kind in LAYERS:
        layer = LAYERS[kind]()
        for channel in range(layer.out_channels):
            mask = of_channels(torch.arange(layer.out_channels) == channel, layer, layer.weight)
            output = layer(torch.rand(1, 4, *[3] * (layer.weight.ndim - 2)))
            (grad,) = torch.autograd.grad(output[0, channel].sum(), layer.weight)
            assert torch.equal(mask.expand_as(grad), grad != 0), kind


@pytest.mark.parametrize("method", METHODS)
def test_every_method_trains_them(method):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.ConvTranspose2d(4, 6, 2, groups=2), nn.ReLU())
    net = net.extend([nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3)])
    quantize_(net, QuantSpec.parse("3"))
    x, y = torch.rand(16, 3, 6, 6), torch.arange(16) % 3
    recipe = Recipe(pretrain_steps=0, steps=4, batch_size=16)
    rule = registry.load(registry.METHODS, method)(
        Setup(model=net, loss=cross_entropy, recipe=recipe, val_loss=lambda: 1.0)
    )
    rule.begin([(x, y)])
    assert all(rule.step(x, y)["loss"].isfinite() for _ in range(rule.total_steps))
    rule.end([(x, y)])
    q: Quantizer = net[2].parametrizations.weight[0]
    assert q.scale.shape == (1, 3, 1, 1)
    assert torch.equal(net[2].weight, q.dequantize(q.codes(net[2].weight)))


def test_a_decoder_is_quantized_audited_and_counted_throughout():
    net = nn.Sequential(nn.Conv2d(4, 8, 3, stride=2, padding=1), nn.ConvTranspose2d(8, 6, 2, stride=2))
    quantize_(net, QuantSpec.parse("4", keep="none"))
    x = torch.rand(2, 4, 6, 6, generator=torch.Generator().manual_seed(0))
    calibrate(net, [x], "mse")
    rows = audit(net, x)
    assert [(row.layer, row.tensor, row.bits) for row in rows] == [
        (layer, tensor, 4) for layer in "01" for tensor in ("weight", "input")
    ]
    assert summary(rows)["floating_weights"] == 0
    cost = network_cost(net, (4, 6, 6)).total()
    assert cost.macs_by_bits == {"w4a4": (9 * 4 * 8 + 8 * 6 * 4) * 9}, "both at maps of 3x3"
    assert cost.weight_bytes == (9 * 4 * 8 + 8 * 6 * 4) // 2
