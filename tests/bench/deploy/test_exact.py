"""In float64 a file has all codes of its cell, whatever the quantizer and however deep; a fault shows."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from flatqat import registry
from flatqat.bench.deploy.exported_file import ExportedFile
from flatqat.errors import UsageError
from flatqat.export.network import read_network
from tests.helpers.layer_kinds import Layers, Tied, Twice, seeded
from tests.helpers.onnx_runs import graph_of, quantized, run
from tests.helpers.verified_cells import exported, trained, verified, with_other_code, with_other_scale

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

from flatqat.bench.deploy.exact import InFloat64
from flatqat.bench.deploy.reference import Reference, exact_root
from flatqat.export.nodes import Nodes
from flatqat.export.onnx_model import onnx_model
from tests.helpers.slow import slow

IMAGES = torch.rand(8, 3, 16, 16, generator=torch.Generator().manual_seed(0))
ROUNDING = 1e-12
"""Logits are of the order of 1, a float64 is off by 1e-16 of it, and sums have up to some hundred terms."""


class Deep(nn.Module):
    """Thirty layers with BatchNorm and residuals, where one other code soon is many."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1)
        self.layers = nn.ModuleList(nn.Conv2d(16, 16, 3, padding=1, bias=False) for _ in range(30))
        self.norms = nn.ModuleList(nn.BatchNorm2d(16, eps=1e-3) for _ in range(30))
        self.head = nn.Linear(16, 10)

    def forward(self, x):
        x = self.stem(x)
        for layer, norm in zip(self.layers, self.norms, strict=True):
            x = F.gelu(norm(layer(F.relu6(x)))) + x
        return self.head(F.max_pool2d(x, 3, 2, 1).mean((2, 3)))


def compared(model, images=IMAGES, **settings):
    made = onnx_model(model, read_network(model.net), IMAGES, **settings)
    both = InFloat64(model, ExportedFile(path=Path("x.onnx"), data=b"", model=made.proto))
    both.add(images)
    return both.result()


QUICK = (("lsq", "8"), ("n2uq", "3"))
CASES = [(name, bits) for name in registry.names(registry.QUANTIZERS) for bits in ("3", "8")]


@pytest.mark.parametrize(
    ("name", "bits"), [pytest.param(*case, marks=() if case in QUICK else pytest.mark.slow) for case in CASES]
)
def test_every_quantizer_in_layers_of_every_kind(name, bits):
    found = compared(quantized(seeded(Layers), f"{bits}@{name}", IMAGES))
    assert not found.problem
    assert (found.images, found.predictions, found.agreement) == (8, 8, 100)
    assert found.codes.differing == 0
    assert found.codes.layers == (0 if stored_tables(name) else 11)
    assert found.largest < ROUNDING


def stored_tables(name: str) -> bool:
    return name in (
        "apot",
        "pot",
        "n2uq",
    )  # whose inputs are searched in a table, so that no node has their codes


@pytest.mark.parametrize("kind", [Tied, Twice, *slow(Deep)])
def test_shared_repeated_and_deep(kind):
    found = compared(quantized(seeded(kind), "4", IMAGES))
    assert (found.agreement, found.codes.differing) == (100, 0)
    assert found.largest < ROUNDING


def test_roots_that_a_network_keeps_are_the_files():
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.head = nn.Linear(12, 12), nn.Linear(12, 4)
            self.scale, self.rate = 32**-0.5, 0.1

        def forward(self, x):
            x = self.layer(x.mean(3).flatten(1)[:, :12])
            return self.head(x) * self.scale * self.rate

    assert compared(quantized(seeded(Scaled), "4", IMAGES)).largest < ROUNDING


def test_constants_of_torchs_own_layers_are_attributes_of_nodes_in_float32():
    class Leaky(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.leaky, self.head = nn.Linear(12, 12), nn.LeakyReLU(0.1), nn.Linear(12, 4)

        def forward(self, x):
            return self.leaky(self.head(self.leaky(self.layer(x.mean(3).flatten(1)[:, :12]))))

    assert compared(quantized(seeded(Leaky), "4", IMAGES)).largest < ROUNDING


def test_folded_batchnorm_is_rounded_anew_but_says_the_same():
    """Scales that are off by 1e-8 move hardly a code, and logits of equal codes are equal."""
    found = compared(quantized(seeded(Deep), "8", IMAGES), fold_batchnorm=True)
    assert found.agreement == 100
    assert found.codes.differing <= found.codes.codes / 1e5


def test_a_network_that_insists_on_float32_is_told_and_stops_nothing():
    class Insists(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(12, 4)

        def forward(self, x):
            return self.layer(x.mean(3).flatten(1)[:, :12] @ torch.eye(12))

    found = compared(quantized(seeded(Insists), "4", IMAGES))
    assert "RuntimeError" in found.problem
    assert found.predictions == 0


def test_verify_finds_the_smallest_fault_and_no_other(tmp_path):
    store = trained(tmp_path, bits=("4",))
    file = exported(store, "tiny-qat", tmp_path / "tiny.onnx")
    found = verified(store, "tiny-qat", file, exact_images=3).deployed.exact
    assert (found.images, found.agreement, found.codes.differing) == (9, 100, 0)
    assert found.largest < ROUNDING
    slight = with_other_scale(file, "linear", 1 + 2**-22)  # two units in the last place
    assert verified(store, "tiny-qat", slight).deployed.exact.largest > 1e-8
    wrong = verified(store, "tiny-qat", with_other_code(file, "stage2.0")).deployed.exact
    assert wrong.largest > 1e-3
    assert wrong.codes.first == "stage3.0", "the first one that reads what the layer returns"
    assert verified(store, "tiny-qat", file, exact_images=0).deployed.exact is None


CONVOLUTION = {"group": 2, "pads": [1, 0, 2, 1], "strides": [2, 1], "dilations": [1, 2]}
TRANSPOSED = {"pads": [1, 0, 0, 1], "strides": [2, 2], "output_padding": [1, 0]}
POOLING = {"kernel_shape": [3, 2], "pads": [1, 0, 1, 1], "strides": [2, 1]}


@pytest.mark.parametrize(
    ("kind", "shapes", "attributes"),
    [
        ("Conv", [(6, 2, 3, 3), (6,)], CONVOLUTION),
        ("Conv", [(6, 4, 2, 2)], {}),
        ("ConvTranspose", [(4, 3, 3, 3), (3,)], TRANSPOSED),
        ("MaxPool", [], POOLING),
        ("MaxPool", [], POOLING | {"ceil_mode": 1}),
    ],
)
def test_what_torch_computes_is_what_the_reference_does(kind, shapes, attributes):
    """The slow implementations of the reference are the oracle; sums of 36 terms in another order."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper
    from onnx.reference import ReferenceEvaluator

    random = np.random.default_rng(0)
    given = {f"w{number}": random.normal(size=shape) for number, shape in enumerate(shapes)}
    node = helper.make_node(kind, ["images", *given], ["y"], **attributes)
    value = [helper.make_tensor_value_info(name, TensorProto.DOUBLE, [None] * 4) for name in ("images", "y")]
    constants = [numpy_helper.from_array(array, name) for name, array in given.items()]
    graph = helper.make_graph([node], "test", value[:1], value[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])
    onnx.checker.check_model(model)
    images = random.normal(size=(2, 4, 9, 8))
    (slow,) = ReferenceEvaluator(model).run(None, {"images": images})
    (fast,) = Reference(model.SerializeToString()).run(images)
    assert fast.dtype == np.float64
    np.testing.assert_allclose(fast, slow, rtol=0, atol=1e-13)


def test_transposed_groups_are_those_of_onnxruntime():
    """The reference cannot do them; a sum of 18 terms in float32 is off by some 1e-6."""
    random = torch.Generator().manual_seed(0)
    nodes = Nodes("layer")
    weight = nodes.constant("w", torch.randn(4, 3, 3, 3, generator=random))
    bias = nodes.constant("b", torch.randn(6, generator=random))
    output = nodes.add("ConvTranspose", "images", weight, bias, group=2, **TRANSPOSED)
    graph = graph_of(nodes, output, 4, images=[2, 4, 9, 8])
    images = torch.randn(2, 4, 9, 8, generator=random)
    (found,) = Reference(graph.SerializeToString()).run(images.double().numpy())
    np.testing.assert_allclose(found, run(graph, images=images).numpy(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", ["Gelu", "Erf"])
def test_functions_are_those_of_the_standard_library(kind):
    nodes = Nodes("layer")
    graph = graph_of(nodes, nodes.add(kind, "images"), 1, images=[None])
    values = np.linspace(-6, 6, 1001)
    (found,) = Reference(graph.SerializeToString()).run(values)
    of_one = math.erf if kind == "Erf" else lambda x: x * (1 + math.erf(x / math.sqrt(2))) / 2
    np.testing.assert_allclose(found, [of_one(x) for x in values], rtol=0, atol=1e-15)


def test_roots_are_widened_to_roots_and_nothing_else():
    for exact in (math.sqrt(32), 1 / math.sqrt(64), -math.sqrt(2), math.sqrt(1 / 2), 3.0, 0.25):
        assert exact_root(float(np.float32(exact))) == pytest.approx(exact, rel=1e-15)
    for other in (0.0, 0.3, 1e-30, -7.3, math.inf, 5.656855, 5000.123, 3.3e-4, 1234.5):
        value = float(np.float32(other))
        assert exact_root(value) == value
    assert math.isnan(exact_root(math.nan))


class OneTensor(nn.Module):
    """Calls a layer twice on one tensor, which the exporter merges."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head((self.conv(x) * self.conv(x)).mean((2, 3)))


def test_calls_that_the_exporter_merges_are_refused_in_words():
    with pytest.raises(UsageError, match=r"expected codes of 2 calls of conv, got 1; "):
        compared(quantized(seeded(OneTensor), "4", IMAGES))
