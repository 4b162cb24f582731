"""Layers that compute their weight: every method sees, sets and trains the weight that the layer uses."""

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune

from flatqat import registry
from flatqat.errors import UsageError
from flatqat.methods.base import Setup
from flatqat.metrics.loss import cross_entropy
from flatqat.quant.apply import calibrate, latent_weights, layers_version, quantizable, quantize_
from flatqat.quant.fold import fold_
from flatqat.spec import QuantSpec, Recipe

IMAGES = torch.rand(32, 3, 8, 8, generator=torch.Generator().manual_seed(1))
BATCH = IMAGES, torch.arange(32) % 4
METHODS = [
    name for name in registry.names(registry.METHODS) if registry.load(registry.METHODS, name).quantizes
]


class Doubled(nn.Module):
    def forward(self, w):
        return 2 * w


class Masked(nn.Module):
    def __init__(self, w):
        super().__init__()
        self.register_buffer("mask", (torch.rand(w.shape) > 0.3).float())

    def forward(self, w):
        return self.mask * w


def norm_first(layer):
    return parametrize.register_parametrization(parametrizations.weight_norm(layer), "weight", Doubled())


def mask_first(layer):
    return parametrizations.spectral_norm(
        parametrize.register_parametrization(layer, "weight", Masked(layer.weight))
    )


def weight_norm_by_hook(layer):
    with pytest.warns(FutureWarning):
        return nn.utils.weight_norm(layer)


KINDS = {
    "weight norm": parametrizations.weight_norm,
    "weight norm by a hook": weight_norm_by_hook,
    "spectral norm": parametrizations.spectral_norm,
    "spectral norm by a hook": nn.utils.spectral_norm,
    "orthogonal": parametrizations.orthogonal,
    "doubled weight norm": norm_first,
    "spectral norm of a mask": mask_first,
}


def network(kind: str | None = None) -> nn.Module:
    wrap = KINDS[kind] if kind else lambda layer: layer
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(
            wrap(nn.Conv2d(3, 8, 3)),
            nn.ReLU(),
            wrap(nn.Conv2d(8, 8, 3)),
            nn.ReLU(),
            nn.Flatten(),
            wrap(nn.Linear(128, 4)),
        )
        for _ in range(3):  # a power iteration of the spectral norm each
            net(IMAGES)
    return net.eval()


def plain(net: nn.Module) -> nn.Module:
    """An ordinary network with the weights that the layers of `net` compute."""
    twin = network()
    for layer, same in zip(net, twin, strict=True):
        if hasattr(same, "weight"):
            same.weight.data.copy_(layer.weight.detach())
            same.bias.data.copy_(layer.bias.detach())
    return twin


def trained(net: nn.Module, method: str, bits: str) -> torch.Tensor:
    quantize_(net, QuantSpec.parse(bits))
    recipe = Recipe(pretrain_steps=0, steps=4, batch_size=32, lr=0.05)
    made = registry.load(registry.METHODS, method)(
        Setup(model=net, loss=cross_entropy, recipe=recipe, val_loss=lambda: 1.0)
    )
    made.begin([BATCH])
    for _ in range(made.total_steps):
        made.step(*BATCH)
    made.end([BATCH])
    with torch.no_grad():
        return net.eval()(IMAGES)


@pytest.mark.parametrize("kind", KINDS)
def test_folding_keeps_what_the_network_computes(kind):
    net = network(kind)
    with torch.no_grad():
        before = net(IMAGES)
        fold_(quantizable(net))
        torch.testing.assert_close(net(IMAGES), before, rtol=1e-5, atol=1e-6)
    assert {name for name, _ in net.named_parameters()} == {name for name, _ in network().named_parameters()}


@pytest.mark.parametrize("kind", KINDS)
def test_eight_bits_cost_about_nothing(kind):
    net = network(kind)
    with torch.no_grad():
        before = net(IMAGES)
    quantize_(net, QuantSpec.parse("w8"))
    calibrate(net, [IMAGES], "minmax")
    with torch.no_grad():
        distance = (net(IMAGES) - before).norm() / (before - before.mean(0)).norm()
    assert distance < 0.02  # half a step of 1/128 of the largest weight, in three layers


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", ["weight norm", "spectral norm of a mask"])
def test_every_method_does_what_it_does_to_an_ordinary_layer(method, kind):
    net = network(kind)
    twin = plain(net)
    assert torch.equal(trained(net, method, "3"), trained(twin, method, "3"))


@pytest.mark.parametrize("kind", KINDS)
def test_the_state_loads_into_another_network_of_the_kind(kind):
    net, other = network(kind), network(kind)
    for each in (net, other):
        quantize_(each, QuantSpec.parse("4"))
    calibrate(net, [IMAGES], "mse")
    other.load_state_dict(net.state_dict())
    assert torch.equal(net(IMAGES), other(IMAGES))


def test_weights_computed_from_the_same_tensors_stay_one_weight():
    a, b, plain_layer = (nn.Linear(4, 4, bias=False) for _ in range(3))
    b.weight = plain_layer.weight = a.weight
    net = nn.Sequential(a, b, plain_layer)
    before = a.weight.detach().clone()
    for layer in (a, b):
        parametrize.register_parametrization(layer, "weight", Doubled())
    fold_(quantizable(net))
    assert a.weight is b.weight
    assert torch.equal(a.weight, 2 * before)
    assert torch.equal(plain_layer.weight, before), "the tensor behind it belongs to another layer, too"


def test_a_pruning_mask_is_refused_with_the_mend():
    net = network()
    prune.l1_unstructured(net[2], "weight", 0.5)
    for refusing in (layers_version, lambda net: quantize_(net, QuantSpec.parse("4"))):
        with pytest.raises(UsageError, match=r"layer 2: .*L1Unstructured.*prune\.remove"):
            refusing(net)
    prune.remove(net[2], "weight")
    quantize_(net, QuantSpec.parse("4"))
    assert len(latent_weights(net)) == 3


def test_a_lazy_layer_is_refused_until_it_knows_its_shape():
    net = nn.Sequential(nn.LazyConv2d(4, 3), nn.Flatten(), nn.LazyLinear(4))
    with pytest.raises(UsageError, match=r"layer 0: .*LazyConv2d before its first input"):
        quantizable(net)
    net(IMAGES)
    quantize_(net, QuantSpec.parse("4"))
    assert len(latent_weights(net)) == 2


def test_only_networks_whose_numbers_changed_have_a_second_version():
    tied = network()
    tied[2].weight = nn.Parameter(torch.rand(8, 3, 3, 3))
    assert layers_version(tied) == 1
    tied[0].weight = tied[2].weight
    assert layers_version(tied) == 2
    assert layers_version(nn.Sequential(nn.ConvTranspose2d(3, 4, 2))) == 2
    assert {layers_version(network(kind)) for kind in KINDS} == {2}
