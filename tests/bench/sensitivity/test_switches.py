"""A switched layer computes what a network does that was quantized with these bits, to the bit."""

import pytest
import torch
from torch import nn

from flatqat.bench.sensitivity.switches import Form, Switches
from flatqat.models.base import Normalized, build
from flatqat.quant.apply import quantizers
from flatqat.spec import QuantSpec
from tests.helpers.sensitivity_runs import quantized_

X = torch.rand(2, 4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
NAMES = ("conv1", "stage1.0", "stage2.0", "stage3.0", "linear")


def tiny() -> Normalized:
    return build("tiny", classes=4, seed=3).eval()


def switches(model: Normalized) -> Switches:
    made = Switches(model)
    made.observe(X)
    return made


def spec(text: str, **layers: str) -> QuantSpec:
    own = ",".join(f"{name.replace('_', '.')}={bits}" for name, bits in layers.items()) or None
    return QuantSpec.parse(text, keep="none", layer_bits=own)


@pytest.mark.parametrize("bits", ["3", "w4a32", "w4a8@minmax", "2@lsqplus"])
@pytest.mark.parametrize("what", ["weights", "acts", "both"])
@torch.no_grad()
def test_of_full_precision_one_layer(bits, what):
    """The same as a wholly quantized network, all of whose other quantizers are off."""
    oracle, made = tiny(), switches(tiny())
    quantized_(oracle.net, spec(bits), X, oracle)
    plain = tiny()(X[0])
    for unit in NAMES:
        for name, quantizer in quantizers(oracle.net):
            of_part = what == "both" or (quantizer.role == "weight") == (what == "weights")
            quantizer.enabled = name == unit and of_part
        made.set(unit, Form(spec=spec(bits), what=what))
        assert torch.equal(made.model(X[0]), oracle(X[0]))
        made.set(unit, None)
        assert torch.equal(made.model(X[0]), plain)


@pytest.mark.parametrize("text", ["4", "w3a8"])
@torch.no_grad()
def test_of_a_quantized_network_one_layer_has_layer_bits(text):
    reference = tiny()
    quantized_(reference.net, spec(text), X, reference)
    before = reference(X[0])
    made = switches(reference)
    assert torch.equal(made.model(X[0]), before)
    for unit in NAMES:
        oracle = tiny()
        quantized_(oracle.net, spec(text, **{unit.replace(".", "_"): "2"}), X, oracle)
        made.switch({unit: Form(spec=spec("2"))})
        assert torch.equal(made.model(X[0]), oracle(X[0]))
    made.switch({})
    assert torch.equal(made.model(X[0]), before)


@torch.no_grad()
def test_all_layers_are_the_whole_network():
    oracle, made = tiny(), switches(tiny())
    quantized_(oracle.net, spec("3", stage1_0="6"), X, oracle)
    forms = dict.fromkeys(NAMES, Form(spec=spec("3")))
    made.switch(forms | {"stage1.0": Form(spec=spec("6"))})
    assert torch.equal(made.model(X[0]), oracle(X[0]))


class Sharing(nn.Module):
    """Two layers with one weight, and a weight that is computed."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 3, padding=1)
        self.b.weight = self.a.weight
        self.c = nn.utils.parametrizations.weight_norm(nn.Linear(3, 4))

    def forward(self, x):
        return self.c(self.b(self.a(x).relu()).relu().mean((2, 3)))


def sharing() -> Normalized:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return Normalized(Sharing(), (0, 0, 0), (1, 1, 1)).eval()


@torch.no_grad()
def test_layers_that_share_a_weight_are_one_unit():
    oracle, made = sharing(), switches(sharing())
    assert made.units == {"a": ("a", "b"), "c": ("c",)}
    assert torch.equal(made.model(X[0]), sharing()(X[0]))
    quantized_(oracle.net, spec("3"), X, oracle)
    for name, quantizer in quantizers(oracle.net):
        quantizer.enabled = name in ("a", "b")
    made.set("a", Form(spec=spec("3")))
    assert torch.equal(made.model(X[0]), oracle(X[0]))
