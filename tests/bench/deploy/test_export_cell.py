"""`flatqat export` on stored cells: what the file holds and says, and how bad input is refused."""

import hashlib
import json
import re

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import load_file

from flatqat import __version__, registry
from flatqat.bench.deploy.cell import deployable, example_images
from flatqat.bench.plan.jobs import make_plan
from flatqat.bench.plan.request import Request
from tests.helpers import ROOT, TOY
from tests.helpers.command_line import assert_one_line_error
from tests.helpers.onnx_runs import kinds, run
from tests.helpers.running import run_plan

PAGE = ROOT / "docs" / "deployment.md"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Results of a toy run at 3 bits."""
    registry.add_plugin(TOY)
    folder = tmp_path_factory.mktemp("stored")
    request = Request(suites=("toy",), methods=("fp", "qat"), bits=("3",), seeds=(0,), results=folder)
    run_plan(make_plan(request))
    return folder


@pytest.fixture
def export(flatqat, store):
    return lambda *args: flatqat("export", *args, "--results", store, "--plugin", TOY)


def read(file):
    import onnx

    proto = onnx.load(file)
    return proto, {entry.key: json.loads(entry.value) for entry in proto.metadata_props}


UNCALLED = """
from torch import nn
from torch.nn import functional as F

class Net(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.conv, self.bare, self.unused = nn.Conv2d(3, 8, 4, 4), nn.Linear(8, 8), nn.Linear(8, 8)
        self.head = nn.Linear(8, classes)

    def forward(self, x):
        x = self.conv(x).mean((2, 3)).relu()
        return self.head(F.linear(x, self.bare.weight, self.bare.bias).relu())

def make(classes):
    return Net(classes)
"""


def test_a_layer_that_is_not_called_has_no_grid_for_its_input(flatqat, tmp_path, monkeypatch):
    """Nothing has set the grid that its quantizer has: a reader that rounds by it would round to zero."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nets.py").write_text(UNCALLED)
    registry.add_plugin(TOY)
    request = Request(
        suites=("toy",), methods=("ptq",), bits=("4",), seeds=(0,), models=("file:nets.py:make",), results="r"
    )
    run_plan(make_plan(request))
    options = ["--results", "r", "--plugin", TOY, "--model", "file:nets.py:make"]
    for file in ("q.safetensors", "q.onnx"):
        form = ["--format", "codes"] if file.endswith("s") else []
        done = flatqat("export", "file_nets.py_make-ptq-4", "--output", file, *form, *options)
        assert done.code == 0, done.err
    metadata = safe_open("q.safetensors", "numpy").metadata()
    of_codes, of_onnx = json.loads(metadata["flatqat.layers"]), read("q.onnx")[1]["flatqat.layers"]
    for layers in (of_codes, of_onnx):
        assert [name for name, layer in layers.items() if layer["input"]] == ["conv", "head"]
        assert layers["bare"]["weight"]["bits"] == 4
    tensors = [name for name in load_file("q.safetensors") if ".input." in name]
    assert {name.partition(".")[0] for name in tensors} == {"conv", "head"}


def test_images_have_the_size_that_the_cost_is_counted_for(store, monkeypatch):
    registry.add_plugin(TOY)
    cell = deployable("tiny-qat", store)
    assert example_images(cell, None).shape[2:] == cell.record.cost.image
    monkeypatch.setattr("flatqat.bench.deploy.cell.image_size", lambda *_: (24, 20))
    assert example_images(cell, None).shape == (2, 3, 24, 20)


def test_a_file_that_predicts_as_the_cell_does(export, store, tmp_path):
    registry.add_plugin(TOY)
    file = tmp_path / "tiny.onnx"
    done = export("tiny-qat", "--output", file)
    assert done.code == 0, done.err
    summary, notes = done.out.splitlines()
    size = f"{file.stat().st_size / 1000:.1f} kB"
    assert re.fullmatch(rf"{file}: {size}, \d+\.\d% of 68.3 kB in float32; 5 of 5 layers quantized", summary)
    assert notes.startswith("opset 21; weights of 3 bits as INT4; inputs of 3 bits as clipped UINT8; images")
    proto, says = read(file)
    cell = deployable("tiny-qat", store)
    pictures = registry.load(registry.SUITES, "toy").shifts[1].build(None).batch(torch.arange(96))[0]
    with torch.no_grad():
        expected = cell.model(pictures)
    got = run(proto, images=pictures)
    assert (got.argmax(1) == expected.argmax(1)).float().mean() >= 0.98
    assert ((got - expected).abs().amax(1) < 1e-4).float().mean() > 0.5
    optimized = run(proto, optimized=True, images=pictures)
    assert (optimized.argmax(1) == expected.argmax(1)).float().mean() >= 0.98
    spec = cell.record.cell
    assert says["flatqat.schema"] == 1
    assert says["flatqat.version"] == __version__
    assert says["flatqat.cell"]["id"] == spec.id
    assert says["flatqat.cell"]["label"] == spec.label
    assert says["flatqat.cell"]["bits"] == "3"
    weights = store / "weights" / f"{spec.training_id}.safetensors"
    assert says["flatqat.weights_sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    bits = [layer["weight"]["bits"] for layer in says["flatqat.layers"].values()]
    assert bits == [8, 3, 3, 3, 8]
    assert says["flatqat.images"]["any_size"] == ["batch"]
    assert says["flatqat.protocol"]["suite"] == "16x16, made up"


def test_batchnorm_is_kept_unless_it_is_to_be_folded(export, tmp_path):
    file = tmp_path / "tiny.onnx"
    done = export("tiny-qat", "--output", file, "--fold-batchnorm")
    assert "BatchNorm folded into 4 layers" in done.out
    assert "BatchNormalization" not in kinds(read(file)[0])


def test_the_codes_are_read_as_the_page_says(export, store, tmp_path, monkeypatch):
    """The code of the page restores every weight to the bit, without flatqat."""
    registry.add_plugin(TOY)
    done = export("tiny-qat", "--output", tmp_path / "tiny.safetensors", "--format", "codes")
    assert done.code == 0, done.err
    assert len(done.out.splitlines()) == 1
    page = PAGE.read_text("utf-8")
    section = page.partition("## Codes without flatqat")[2].partition("\n## ")[0]
    (code,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    assert "flatqat" not in re.sub(r'"flatqat\.', "", code)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(code, names)
    weights = names["weights"]
    net = deployable("tiny-qat", store).model.net
    modules = dict(net.named_modules())
    assert list(weights) == ["conv1", "stage1.0", "stage2.0", "stage3.0", "linear"]
    for layer, weight in weights.items():
        assert np.array_equal(weight, modules[layer].weight.detach().numpy())
    tensors = names["tensors"]
    assert np.array_equal(tensors["bn1.running_var"], net.bn1.running_var.numpy())
    packed = tensors["stage1.0.weight.codes"]
    assert len(packed) == -(-16 * 16 * 9 * 3 // 8)


def bad(*args, message):
    return pytest.param(args, message, id=message)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        bad("tiny-fp", "--output", "x.onnx", message="expected a quantized one, got one in floating point"),
        bad("nothing", "--output", "x.onnx", message="expected the beginning of one stored id or label"),
        bad("tiny-qat", "--output", "no/x.onnx", message="expected an existing folder, got none: no"),
        bad("tiny-qat", "--output", ".", message="expected a file, got a folder"),
        bad("tiny-qat", "--output", "x.pb", message=r"expected a file that ends in \.onnx, got x\.pb"),
        bad("tiny-qat", "--output", "x.safetensors", message="did you mean --format codes"),
        bad("tiny-qat", "--output", "x.onnx", "--format", "tflite", message="unknown format 'tflite'"),
        bad(
            "tiny-qat", "--output", "x.safetensors", "--format", "codes", "--fold-batchnorm",
            message="--fold-batchnorm: expected --format onnx",
        ),
    ],
)  # fmt: skip
def test_bad_input_is_one_line_and_nothing_is_written(export, tmp_path, monkeypatch, args, message):
    monkeypatch.chdir(tmp_path)
    assert_one_line_error(export(*args), message)
    assert not list(tmp_path.iterdir())


def test_the_extra_is_named_where_a_package_is_missing(export, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(__import__("sys").modules, "onnxscript", None)
    assert_one_line_error(
        export("tiny-qat", "--output", "x.onnx"), r"onnxscript is not installed; .* 'flatqat\[onnx\]'"
    )


def test_a_cell_without_weights_is_told_how_to_get_them(export, store, tmp_path):
    registry.add_plugin(TOY)
    cell = deployable("tiny-qat", store).record.cell
    weights = store / "weights" / f"{cell.training_id}.safetensors"
    moved = weights.rename(tmp_path / "away")
    try:
        assert_one_line_error(export("tiny-qat", "--output", tmp_path / "x.onnx"), "expected its weights at")
    finally:
        moved.rename(weights)
    assert not (tmp_path / "x.onnx").exists()


def test_activations_alone(flatqat, tmp_path):
    """The graph rounds inputs and has weights in float32; there are no codes to pack."""
    registry.add_plugin(TOY)
    folder = tmp_path / "stored"
    request = Request(
        suites=("toy",), methods=("ptq",), bits=("w32a3",), seeds=(0,), results=folder, spaces=()
    )
    run_plan(make_plan(request))
    file = tmp_path / "tiny.onnx"
    own = ("--results", folder, "--plugin", TOY)
    done = flatqat("export", "tiny-ptq", "--output", file, *own)
    assert done.code == 0, done.err
    summary, notes = done.out.splitlines()
    assert summary.endswith("; inputs of 5 of 5 layers quantized, weights in floating point")
    assert "weights of" not in notes
    proto, says = read(file)
    assert all(layer["weight"] is None and layer["input"] for layer in says["flatqat.layers"].values())
    pictures = registry.load(registry.SUITES, "toy").shifts[1].build(None).batch(torch.arange(96))[0]
    with torch.no_grad():
        expected = deployable("tiny-ptq", folder).model(pictures)
    got = run(proto, images=pictures)
    assert (got.argmax(1) == expected.argmax(1)).float().mean() >= 0.98
    packed = tmp_path / "tiny.safetensors"
    refused = flatqat("export", "tiny-ptq", "--output", packed, "--format", "codes", *own)
    got = r"got weights in floating point \(w32a3\); use --format onnx"
    assert_one_line_error(refused, f"--format codes: expected weights with codes to store, {got}")
    assert not packed.exists()
