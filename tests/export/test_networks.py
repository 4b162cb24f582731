"""Layers of every kind: integer codes in the file, the same levels, no weight in floating point."""

import numpy as np
import pytest
import torch
from onnx import TensorProto

from flatqat.export.network import read_network
from flatqat.export.onnx_model import as_file, onnx_model
from flatqat.quant.apply import quantizers
from tests.helpers import ROOT
from tests.helpers.layer_kinds import Layers, Tied, Twice, seeded
from tests.helpers.onnx_runs import kinds, quantized, run, stored

IMAGES = torch.rand(8, 3, 16, 16, generator=torch.Generator().manual_seed(0))


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
        "inputs of 3 bits as clipped INT8 and UINT8",
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
def test_what_is_said_of_every_quantizer(name):
    made = exported(quantized(seeded(Layers), f"4@{name}", IMAGES))
    tables = name in ("apot", "pot", "dorefa", "pact")
    assert ("weights of 11 layers from tables of levels" in made.notes) == tables
    searched = name in ("apot", "pot", "n2uq")
    assert ("inputs of 11 layers by a search among thresholds" in made.notes) == searched
