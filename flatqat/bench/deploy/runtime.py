"""What runs an exported file on a CPU: ONNX Runtime or OpenVINO, with graph optimization or without."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flatqat.errors import UsageError, choose
from flatqat.export.trace import INPUT
from flatqat.models.optional import require

RUNTIMES = ("onnxruntime", "openvino")
EXTRAS = {"onnx": "onnx", "onnxruntime": "onnx", "openvino": "openvino"}
IN_FLOAT32 = {"INFERENCE_PRECISION_HINT": "f32"}
"""What is not computed in integers is in float32, on CPUs where OpenVINO would choose bfloat16, too."""
EXACT = {"LP_TRANSFORMS_MODE": "NO", "EXECUTION_MODE_HINT": "ACCURACY"}
"""OpenVINO without its integer kernels: it always transforms graphs, and this is as near as it comes."""
FATAL_ONLY = 4  # of the levels of its log: errors are raised as well

LogitsFn = Callable[[Tensor], Tensor]


class Loaded(Protocol):
    """A graph that a runtime has loaded."""

    def run(self, images: NDArray[Any]) -> Sequence[NDArray[Any]]:
        """Return the outputs of the graph for images (B, 3, H, W) of its type, in its order."""

    def note(self) -> str:
        """Return what the runtime has made of the graph, in words; empty if it does not say."""


class OnnxRuntime:
    """A graph in ONNX Runtime, on the CPU."""

    def __init__(self, graph: bytes, *, optimized: bool, threads: int) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        levels = onnxruntime.GraphOptimizationLevel
        options.graph_optimization_level = levels.ORT_ENABLE_ALL if optimized else levels.ORT_DISABLE_ALL
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = FATAL_ONLY
        self._session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

    def run(self, images: NDArray[Any]) -> Sequence[NDArray[Any]]:
        """Return the outputs of the graph."""
        outputs: Sequence[NDArray[Any]] = self._session.run(None, {INPUT: images})
        return outputs

    def note(self) -> str:
        """Return nothing: ONNX Runtime does not say which kernels it uses."""
        return ""


class OpenVino:
    """A graph in OpenVINO, on the CPU."""

    def __init__(self, graph: bytes, *, optimized: bool, threads: int) -> None:
        import openvino

        core = openvino.Core()
        settings = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1} | IN_FLOAT32
        settings |= {} if optimized else EXACT
        self._compiled = core.compile_model(core.read_model(graph), "CPU", settings)

    def run(self, images: NDArray[Any]) -> Sequence[NDArray[Any]]:
        """Return the outputs of the graph."""
        outputs = self._compiled([images])
        return [outputs[number] for number in range(len(outputs))]

    def note(self) -> str:
        """Return in which types convolutions and matrix products are computed: those of int4 in float."""
        counts: dict[str, int] = {}
        for node in self._compiled.get_runtime_model().get_ops():
            info = node.get_rt_info()
            if info["layerType"].value in ("Convolution", "MatMul", "FullyConnected"):
                kind = str(info["runtimePrecision"].value)
                counts[kind] = counts.get(kind, 0) + 1
        kinds = ", ".join(f"{count} in {kind}" for kind, count in sorted(counts.items()))
        return f"convolutions and matrix products: {kinds or 'none'}"


@dataclass(frozen=True, slots=True)
class InBatches:
    """A graph that takes a fixed number of images; the last ones are completed by copies of the last."""

    loaded: Loaded
    size: int

    def run(self, images: NDArray[Any]) -> Sequence[NDArray[Any]]:
        """Return the outputs of the graph for any number of images."""
        missing = -len(images) % self.size
        whole = np.concatenate([images, np.repeat(images[-1:], missing, axis=0)])
        parts = [
            self.loaded.run(whole[start : start + self.size]) for start in range(0, len(whole), self.size)
        ]
        outputs = map(np.concatenate, zip(*parts, strict=True))
        # an output may have several rows for an image, such as its windows
        return [output[: len(output) * len(images) // len(whole)] for output in outputs]

    def note(self) -> str:
        """Return what the runtime has made of the graph."""
        return self.loaded.note()


KINDS: dict[str, type[OnnxRuntime | OpenVino]] = {"onnxruntime": OnnxRuntime, "openvino": OpenVino}


def load(name: str, graph: bytes, *, optimized: bool, threads: int, batch: int | None = None) -> Loaded:
    """Return a graph as a runtime has loaded it; `batch` is how many images it takes, None for any number.

    Raises UsageError if the runtime is unknown, not installed, or cannot load the graph.
    """
    kind = KINDS[choose("runtime", name, RUNTIMES)]
    check_installed(name)
    try:
        loaded: Loaded = kind(graph, optimized=optimized, threads=threads)
    except Exception as error:  # whatever the runtime makes of a graph that it does not know
        expected = "expected a graph that it can load"
        raise UsageError(f"--runtime {name}: {expected}, got: {_line(error)}") from error
    return loaded if batch is None else InBatches(loaded, batch)


def check_installed(name: str) -> None:
    """Raise UsageError if a runtime is unknown, or is not installed with what reads its files."""
    for package in (choose("runtime", name, RUNTIMES), "onnx"):
        require(package, extra=EXTRAS[package])


def network(loaded: Loaded) -> LogitsFn:
    """Return what maps images to the first output of a graph. Raises UsageError if the runtime refuses."""

    def run(images: Tensor) -> Tensor:
        try:
            outputs = loaded.run(np.ascontiguousarray(images.numpy()))
        except Exception as error:  # a shape that the graph does not take
            expected = f"expected it to accept images {tuple(images.shape)}"
            raise UsageError(f"the file: {expected}, got: {_line(error)}") from error
        return torch.from_numpy(outputs[0])

    return run


def _line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]
