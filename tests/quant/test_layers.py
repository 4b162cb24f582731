"""Which layers get which bits and which quantizer: --keep, --layer-bits, and what quantizers say."""

import pytest

from flatqat import registry
from flatqat.errors import UsageError
from flatqat.models.base import build
from flatqat.quant.apot import APoT
from flatqat.quant.apply import by_layer, quantizable, quantize_, quantizers
from flatqat.quant.lsq import LSQ
from flatqat.spec import QuantSpec

LAYERS = ["conv1", "stage1.0", "stage2.0", "stage3.0", "linear"]


def bits(text: str, keep: str | None = None, layer_bits: str | None = None) -> dict[str, str]:
    spec = QuantSpec.parse(text, keep=keep, layer_bits=layer_bits)
    return {name: str(chosen) for name, chosen in by_layer(LAYERS, spec).items()}


def test_the_example_is_the_tiny_network():
    assert list(quantizable(build("tiny", classes=10, seed=0).net)) == LAYERS


@pytest.mark.parametrize(
    ("keep", "expected"),
    [
        (None, ["8", "3", "3", "3", "8"]),
        ("none", ["3", "3", "3", "3", "3"]),
        ("last", ["3", "3", "3", "3", "8"]),
        ("first,stage[23].*", ["8", "3", "8", "8", "3"]),
        ("linear, conv1", ["8", "3", "3", "3", "8"]),
    ],
)
def test_keep_names_the_layers_held_at_eight_bits(keep, expected):
    assert list(bits("3", keep).values()) == expected


@pytest.mark.parametrize(
    ("layer_bits", "expected"),
    [
        ("stage1.*=8,stage3.*=w2a4", ["8", "8", "3", "w2a4", "8"]),
        ("*=w5a6", ["w5a6"] * 5),
        ("first=4,stage*=5,stage2.0=fp", ["4", "5", "fp", "5", "8"]),
    ],
)
def test_layer_bits_go_before_keep_and_the_last_match_counts(layer_bits, expected):
    assert list(bits("3", layer_bits=layer_bits).values()) == expected


def test_weights_alone_stay_alone():
    assert list(bits("w3").values()) == ["w8a32", "w3a32", "w3a32", "w3a32", "w8a32"]


def test_a_network_gets_what_was_planned():
    net = build("tiny", classes=10, seed=0).net
    quantize_(net, QuantSpec.parse("4@apot", keep="first", layer_bits="stage3.*=w2a5,linear=fp"))
    found = {(name, q.role): (type(q), q.bits) for name, q in quantizers(net)}
    assert found == {
        ("conv1", "weight"): (LSQ, 8),
        ("conv1", "input"): (LSQ, 8),
        ("stage1.0", "weight"): (APoT, 4),
        ("stage1.0", "input"): (APoT, 4),
        ("stage2.0", "weight"): (APoT, 4),
        ("stage2.0", "input"): (APoT, 4),
        ("stage3.0", "weight"): (APoT, 2),
        ("stage3.0", "input"): (APoT, 5),
    }


def test_layers_held_at_eight_bits_keep_their_grid_unless_the_quantizer_says_another():
    assert {c.quantizer for c in by_layer(LAYERS, QuantSpec.parse("4@minmax")).values()} == {"minmax"}
    kept = {name: c.quantizer for name, c in by_layer(LAYERS, QuantSpec.parse("4@dorefa")).items()}
    assert kept == dict.fromkeys(LAYERS, "dorefa") | {"conv1": "lsq", "linear": "lsq"}


@pytest.mark.parametrize("name", registry.names(registry.QUANTIZERS))
def test_layers_held_at_eight_bits_have_lsq_where_the_paper_leaves_them_out(name):
    without = {"dorefa", "pact", "apot", "pot", "n2uq"}
    assert by_layer(LAYERS, QuantSpec.parse(f"4@{name}"))["conv1"].quantizer == (
        "lsq" if name in without else name
    )


def test_one_grid_a_channel_only_where_the_quantizer_has_it():
    for name, shape in (("lsqplus", (16, 1, 1, 1)), ("n2uq", (16, 1, 1, 1)), ("ewgs", ()), ("apot", ())):
        net = build("tiny", classes=10, seed=0).net
        quantize_(net, QuantSpec.parse(f"4@{name}"))
        (q,) = (q for layer, q in quantizers(net) if layer == "stage1.0" and q.role == "weight")
        assert tuple(q.scale.shape) == (len(net.stage1[0].weight), *shape[1:]) if shape else q.scale.ndim == 0


@pytest.mark.parametrize(("keep", "layer_bits"), [("stge1.*", None), (None, "stge1.*=8")])
def test_a_pattern_without_a_layer_lists_the_layers_and_the_nearest(keep, layer_bits):
    with pytest.raises(
        UsageError, match=r"'stge1\.\*': expected one of conv1, first, .*did you mean 'stage1"
    ):
        bits("3", keep, layer_bits)


@pytest.mark.parametrize("text", ["", "none,first", " , "])
def test_malformed_keep(text):
    with pytest.raises(UsageError, match=r"--keep: expected patterns of layer names"):
        QuantSpec.parse("4", keep=text)


@pytest.mark.parametrize("text", ["conv1", "=8", "conv1=", "conv1=4@lsq", "conv1=9", "conv1=8,"])
def test_malformed_layer_bits(text):
    with pytest.raises(UsageError, match="expected"):
        QuantSpec.parse("4", layer_bits=text)
