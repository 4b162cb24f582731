"""Runtimes and files that cannot be used, each told in one line; batches of a fixed size."""

import sys

import numpy as np
import pytest
import torch

from flatqat.bench.deploy.runtime import InBatches, load, network
from flatqat.errors import UsageError


class Doubling:
    """A graph that takes exactly three images, and notes what it was given."""

    def __init__(self) -> None:
        self.seen: list[np.ndarray] = []

    def run(self, images):
        assert len(images) == 3
        self.seen.append(images)
        return [2 * images, images.sum(axis=(1, 2, 3)), images.reshape(6, 6)]

    def note(self) -> str:
        return "doubles"


@pytest.mark.parametrize("count", [1, 3, 7])
def test_a_fixed_number_of_images_is_completed_and_cut(count):
    graph = Doubling()
    images = np.arange(count * 12, dtype=np.float32).reshape(count, 3, 2, 2)
    doubled, sums, halves = InBatches(graph, 3).run(images)
    assert np.array_equal(doubled, 2 * images)
    assert np.array_equal(sums, images.sum(axis=(1, 2, 3)))
    assert np.array_equal(halves, images.reshape(-1, 6)), "two rows for each image"
    assert len(graph.seen) == -(-count // 3)
    assert network(InBatches(graph, 3))(torch.from_numpy(images)).equal(2 * torch.from_numpy(images))


def test_an_unknown_runtime_names_the_choices():
    with pytest.raises(UsageError, match="unknown runtime 'tensorrt': expected one of onnxruntime, openvino"):
        load("tensorrt", b"", optimized=True, threads=1)


@pytest.mark.parametrize(
    ("missing", "name", "extra"),
    [
        ("onnxruntime", "onnxruntime", "onnx"),
        ("openvino", "openvino", "openvino"),
        ("onnx", "openvino", "onnx"),
    ],
)
def test_a_missing_package_names_its_extra(monkeypatch, missing, name, extra):
    pytest.importorskip(name)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(UsageError, match=rf"{missing} is not installed.*'flatqat\[{extra}\]'"):
        load(name, b"", optimized=True, threads=1)


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_what_is_no_graph_is_refused(name):
    pytest.importorskip(name)
    with pytest.raises(UsageError, match=f"--runtime {name}: expected a graph that it can load, got: "):
        load(name, b"no graph", optimized=False, threads=1)


def test_a_runtime_that_refuses_images_is_told():
    class Refusing(Doubling):
        def run(self, images):
            raise RuntimeError("bad\nshape")

    with pytest.raises(UsageError, match=r"accept images \(1, 3, 2, 2\), got: RuntimeError: bad shape"):
        network(Refusing())(torch.zeros(1, 3, 2, 2))
