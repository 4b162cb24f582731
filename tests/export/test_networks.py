"""Layers of every kind: integer codes in the file, the same levels, no weight in floating point."""

import numpy as np
import pytest
import torch
from onnx import TensorProto
from torch import nn
from torch.nn import functional as F

from flatqat.export.network import read_network
from flatqat.export.onnx_model import as_file, onnx_model
from flatqat.models.attention import split_attention_
from flatqat.quant.apply import quantizers
from tests.helpers import ROOT
from tests.helpers.onnx_runs import kinds, quantized, run, stored

IMAGES = torch.rand(8, 3, 16, 16, generator=torch.Generator().manual_seed(0))


class Layers(nn.Module):
    """Grouped, depthwise and transposed convolutions, one in one dimension, and linear layers on tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.grouped = nn.Conv2d(8, 8, 1, groups=2)
        self.up = nn.ConvTranspose2d(8, 4, 2, stride=2)
        self.tokens = nn.Linear(256, 12)
        self.line = nn.Conv1d(4, 4, 3)
        self.attention = nn.MultiheadAttention(10, 2, batch_first=True)
        self.head = nn.Linear(40, 5)

    def forward(self, x):
        x = F.relu(self.stem(x))
        x = F.relu(self.norm(self.depthwise(x)))
        x = self.up(F.relu(self.grouped(x)))
        x = self.line(self.tokens(x.flatten(2)))
        x = x + self.attention(x, x, x, need_weights=False)[0]
        return self.head(x.flatten(1))


class Tied(nn.Module):
    """Two layers with one weight, once as it is and once in both."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(12, 12), nn.Linear(12, 12)
        self.second.weight = self.first.weight

    def forward(self, x):
        x = x.mean(3).flatten(1)[:, :12]
        return self.second(F.relu(self.first(x)))


class Twice(nn.Module):
    """A layer that is called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(12, 12)

    def forward(self, x):
        x = x.mean(3).flatten(1)[:, :12]
        return self.layer(F.relu(self.layer(x)))


def seeded(kind) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        net = kind()
    split_attention_(net)
    return net


def exported(model, **settings):
    made = onnx_model(model, read_network(model.net), IMAGES, **settings)
    as_file(made.proto)
    return made


@pytest.fixture(scope="module")
def three():
    """A network at 3 bits, and what was made of it."""
    model = quantized(seeded(Layers), "3", IMAGES)
    return model, exported(model)


def logits(model):
    with torch.no_grad():
        return model(IMAGES)


def test_layers_of_every_kind_compute_the_same(three):
    """A value on the edge of two codes may fall to either side, and then its image has other logits."""
    model, made = three
    expected = logits(model)
    wrong = (run(made.proto, images=IMAGES) - expected).abs() > 1e-4
    assert expected.std() > 0.1
    assert wrong.any(1).float().mean() <= 0.5


def test_a_layer_that_is_called_twice_rounds_both_of_its_inputs():
    model = quantized(seeded(Twice), "4", IMAGES)
    made = exported(model)
    assert kinds(made.proto).count("QuantizeLinear") == 2
    assert run(made.proto, images=IMAGES).allclose(logits(model), atol=1e-5)


def test_weights_alone_leave_nothing_on_an_edge():
    model = quantized(seeded(Layers), "w4", IMAGES)
    made = exported(model)
    assert "QuantizeLinear" not in kinds(made.proto)
    assert run(made.proto, images=IMAGES).allclose(logits(model), atol=1e-5)


def test_every_layer_has_integers_in_the_file_and_no_weight_is_in_floating_point(three):
    _, made = three
    layers = len(made.network.weights)
    assert layers == 11
    assert kinds(made.proto).count("QuantizeLinear") == layers
    assert kinds(made.proto).count("DequantizeLinear") == 2 * layers
    assert kinds(made.proto).count("Clip") == layers
    assert {node.domain for node in made.proto.graph.node} == {""}
    assert "Cast" not in kinds(made.proto)
    types = {tensor.name: tensor.data_type for tensor in made.proto.graph.initializer}
    arrays = stored(made.proto)
    for layer, weight in made.network.weights.items():
        name, codes = f"{layer}.weight.codes", weight.codes.numpy()
        assert types[name] == TensorProto.INT4
        found = arrays[name].astype(int)
        assert np.array_equal(found, codes) or np.array_equal(found, codes.T), layer
        assert np.array_equal(arrays[f"{layer}.weight.scale"], weight.grid.scale.numpy())
    floats = [array for name, array in arrays.items() if types[name] == TensorProto.FLOAT]
    assert max(array.size for array in floats) <= 12, "biases and scales, no weights"


def test_what_is_stored_in_a_wider_type_is_said(three):
    _, made = three
    assert made.notes == [
        "weights of 3 bits as INT4",
        "inputs of 3 bits as clipped INT8",
        "inputs of 3 bits as clipped UINT8",
        "images of 16x16 only",
    ]


def test_any_number_of_images_and_no_trace_of_this_machine(three):
    _, made = three
    assert made.axes == ["batch"]
    assert run(made.proto, images=IMAGES[:1]).shape == (1, 5)
    data = as_file(made.proto)
    assert str(ROOT).encode() not in data
    assert b".py" not in data


def test_marks_are_gone_after_a_trace(three):
    model, _ = three
    assert len(list(quantizers(model.net))) == 22


def test_a_shared_weight_is_stored_once():
    model = quantized(seeded(Tied), "4", IMAGES)
    made = exported(model)
    assert [name for name in stored(made.proto) if name.endswith("codes")] == ["first.weight.codes"]
    assert run(made.proto, images=IMAGES).allclose(logits(model), atol=1e-5)
    assert made.network.layers == {"first": "first", "second": "first"}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ewgs", "lsqplus", "apot", "pot", "n2uq", "dorefa", "pact", "minmax"])
def test_networks_of_every_quantizer(name):
    model = quantized(seeded(Layers), f"4@{name}", IMAGES)
    made = exported(model)
    wrong = (run(made.proto, images=IMAGES) - logits(model)).abs() > 1e-4
    assert wrong.any(1).float().mean() <= 0.5
    tables = name in ("apot", "pot", "dorefa", "pact")
    assert ("weights of 11 layers from tables of levels" in made.notes) == tables
    searched = name in ("apot", "pot", "n2uq")
    assert ("inputs of 11 layers by a search among thresholds" in made.notes) == searched
