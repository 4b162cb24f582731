"""Folding BatchNorm: other scales, the same codes, and reasons where that is impossible."""

import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from flatqat import registry
from flatqat.export.batchnorm import fold_batchnorm_
from flatqat.export.graph import place_grids_
from flatqat.export.network import QuantizedNetwork
from flatqat.export.read import QuantizedWeight, weight_codes
from tests.helpers.observers import observed
from tests.helpers.onnx_runs import kinds, run, stored

SHAPES = {"Conv": (4, 3, 3, 3), "ConvTranspose": (3, 4, 2, 2), "Gemm": (4, 3)}
GAMMA = (1.5, -0.5, 0.25, -2.0)


def random(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(len(shape)))


def codes_of(
    kind: str, quantizer: str = "minmax", bits: int = 4, per_channel: bool = True
) -> QuantizedWeight:
    """A weight of four output channels on its grid."""
    axis, weight = int(kind == "ConvTranspose"), random(*SHAPES[kind])
    shape = [4 if i == axis else 1 for i in range(weight.ndim)] if per_channel else []
    made = registry.load(registry.QUANTIZERS, quantizer)(bits=bits, role="weight", scale_shape=tuple(shape))
    made.channel_axis = axis
    made.calibrate(observed(weight, scale_shape=tuple(shape), keep_all=True), "minmax")
    return weight_codes(made, weight, "layer")


def traced(kind: str, gamma=GAMMA, *, bias: bool = True, reader: bool = False, **attributes):
    """What a trace has of a layer with BatchNorm: a mark of the weight, the layer, BatchNorm, a reader."""
    four = {"b": random(4), "gamma": torch.tensor(gamma), "beta": random(4) + 1, "mean": random(4)}
    parts = four | {"variance": random(4).abs() + 0.1, "w": random(*SHAPES[kind])}
    nodes = [
        helper.make_node("weight", ["w"], ["marked"], domain="flatqat", layer="layer"),
        helper.make_node(kind, ["x", "marked", *(["b"] if bias else [])], ["y"], **attributes),
        helper.make_node(
            "BatchNormalization", ["y", "gamma", "beta", "mean", "variance"], ["z"], epsilon=1e-3
        ),
        helper.make_node("Add", ["z", "y" if reader else "z"], ["out"]),
    ]
    shape = [None, 3] if kind == "Gemm" else [None, 3, 6, 6]
    values = [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)]
    outputs = [helper.make_tensor_value_info("out", TensorProto.FLOAT, [None] * len(shape))]
    constants = [numpy_helper.from_array(value.numpy(), name) for name, value in parts.items()]
    graph = helper.make_graph(nodes, "test", values, outputs, constants)
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("flatqat", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def both(proto, codes: QuantizedWeight):
    """The logits before and after, the folded graph, and what was said."""
    network = QuantizedNetwork(weights={"layer": codes}, inputs={}, layers={"layer": "layer"})
    before, after = onnx.ModelProto(), onnx.ModelProto()
    before.CopyFrom(proto)
    after.CopyFrom(proto)
    place_grids_(before, network)
    folded = fold_batchnorm_(after, network)
    place_grids_(after, folded.network)
    onnx.checker.check_model(after, full_check=True)
    x = random(2, 3) if proto.graph.node[1].op_type == "Gemm" else random(2, 3, 6, 6)
    return run(before, x=x), run(after, x=x), after, folded


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("quantizer", ["minmax", "ewgs", "n2uq"])
@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("kind", SHAPES)
def test_other_scales_and_the_same_codes(kind, per_channel, quantizer, bias):
    codes = codes_of(kind, quantizer, per_channel=per_channel)
    proto = traced(kind, bias=bias, **({"transB": 1} if kind == "Gemm" else {}))
    expected, got, after, folded = both(proto, codes)
    assert folded.count == 1
    assert not folded.kept
    assert "BatchNormalization" not in kinds(after)
    assert got.allclose(expected, rtol=1e-5, atol=1e-5)
    scale = stored(after)["layer.weight.scale"]
    assert (scale > 0).all()
    assert len(scale) == 4
    channels = codes.codes.movedim(int(kind == "ConvTranspose"), 0)
    new = torch.from_numpy(stored(after)["layer.weight.codes"].astype("int32"))
    mirror = 15 if quantizer != "minmax" else 0  # the sum of the smallest and the largest code
    for old, now, factor in zip(channels, new.movedim(int(kind == "ConvTranspose"), 0), GAMMA, strict=True):
        assert torch.equal(now, old if factor > 0 else mirror - old)


KEPT = [
    (traced("Conv", (1.0, 0.0, 1.0, 1.0)), codes_of("Conv"), "a factor of zero"),
    (traced("Conv"), codes_of("Conv", "dorefa"), "levels are in a table"),
    (traced("Conv", reader=True), codes_of("Conv"), "not behind a quantized layer of its own"),
    (traced("Gemm", reader=True, transB=1), codes_of("Gemm"), "not behind a quantized layer of its own"),
]


@pytest.mark.parametrize(("proto", "codes", "reason"), KEPT, ids=[case[2] for case in KEPT])
def test_a_reason_where_it_stays(proto, codes, reason):
    expected, got, after, folded = both(proto, codes)
    assert folded.count == 0
    assert folded.kept[0].startswith("layer (")
    assert reason in folded.kept[0]
    assert "BatchNormalization" in kinds(after)
    assert torch.equal(got, expected)


def test_the_smallest_code_of_a_type_has_no_other_sign():
    codes = codes_of("Conv")
    channel = codes.codes[1]
    channel[0, 0, 0] = -8
    assert "INT4 has no code of the other sign" in both(traced("Conv"), codes)[3].kept[0]
    positive = both(traced("Conv", (1.0, 1.0, 1.0, 1.0)), codes)[3]
    assert positive.count == 1


def test_three_bits_have_room_for_the_other_sign():
    codes = codes_of("Conv", bits=3)
    codes.codes[1, 0, 0, 0] = -4
    expected, got, after, folded = both(traced("Conv"), codes)
    assert folded.count == 1
    assert stored(after)["layer.weight.codes"].max() == 4
    assert got.allclose(expected, rtol=1e-5, atol=1e-5)


def test_groups_of_a_transposed_convolution_share_scales():
    weight = codes_of("ConvTranspose")
    proto = traced("ConvTranspose", group=1)
    proto.graph.node[1].attribute[0].i = 3
    network = QuantizedNetwork(weights={"layer": weight}, inputs={}, layers={"layer": "layer"})
    assert "its groups share scales" in fold_batchnorm_(proto, network).kept[0]
