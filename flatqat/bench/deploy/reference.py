"""An exported file in float64, node by node, by the reference implementation of ONNX.

Its own convolutions, pooling and error function take seconds an image or round to float32; those are
torch's.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from onnx import TensorProto, load_model_from_string, numpy_helper
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun
from onnx.reference.ops.op_max_pool import MaxPool as SlowMaxPool
from torch.nn import functional as F

from flatqat.export.graph import walk
from flatqat.export.trace import INPUT

Array = NDArray[Any]
LARGEST_ROOT = 64.0
CONVOLUTIONS: dict[int, Callable[..., torch.Tensor]] = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
TRANSPOSED: dict[int, Callable[..., torch.Tensor]] = {
    1: F.conv_transpose1d,
    2: F.conv_transpose2d,
    3: F.conv_transpose3d,
}


class Reference:
    """A graph whose constants and computations are in float64."""

    def __init__(self, graph: bytes) -> None:
        model = load_model_from_string(graph)
        for tensor in model.graph.initializer:
            _widen_(tensor)
        for node in walk(model.graph):
            for attribute in node.attribute:
                _widen_(attribute.t)
                if node.op_type == "Cast" and attribute.name == "to" and attribute.i == TensorProto.FLOAT:
                    attribute.i = TensorProto.DOUBLE
        self._evaluator = ReferenceEvaluator(model, new_ops=[Conv, ConvTranspose, MaxPool, Erf, Gelu])

    def run(self, images: Array) -> list[Array]:
        """Return the outputs of the graph for images (B, 3, H, W) in float64."""
        return list(self._evaluator.run(None, {INPUT: images}))

    def note(self) -> str:
        """Return nothing: it computes what the file says."""
        return ""


def _widen_(tensor: TensorProto) -> None:
    if tensor.data_type == TensorProto.FLOAT:
        array = numpy_helper.to_array(tensor).astype(np.float64)
        if array.size == 1 and "." not in tensor.name:  # the network's own: a grid's is `layer.input.scale`
            array = np.full_like(array, exact_root(array.item()))
        tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))


def exact_root(value: float) -> float:
    """Return the square root of an integer, or of the inverse of one, of which `value` is the float32.

    All other values are returned as they are. Networks compute with such roots as exactly as they can, the
    scale of attention and those of GELU among them, and a file has their float32.
    """
    if not 1 / LARGEST_ROOT <= abs(value) <= LARGEST_ROOT:  # nor NaN; beyond, too many numbers are roots
        return value
    square = value * value
    for root in (math.sqrt(round(square)), 1 / math.sqrt(max(1, round(1 / square)))):
        if np.float32(root) == abs(value):
            return math.copysign(root, value)
    return value


class Conv(OpRun):
    """A convolution of 1 to 3 dimensions."""

    op_domain = ""

    def _run(self, x: Array, weight: Array, bias: Array | None = None, **given: Any) -> tuple[Array]:
        padded = F.pad(_tensor(x), _padding(given["pads"]))
        strides, dilations = given["strides"] or 1, given["dilations"] or 1
        convolve = CONVOLUTIONS[weight.ndim - 2]
        return (
            convolve(
                padded, _tensor(weight), _optional(bias), strides, 0, dilations, given["group"] or 1
            ).numpy(),
        )


class ConvTranspose(OpRun):
    """A transposed convolution of 1 to 3 dimensions."""

    op_domain = ""

    def _run(self, x: Array, weight: Array, bias: Array | None = None, **given: Any) -> tuple[Array]:
        dims = weight.ndim - 2
        whole = TRANSPOSED[dims](
            _tensor(x),
            _tensor(weight),
            _optional(bias),
            given["strides"] or 1,
            0,
            given["output_padding"] or 0,
            given["group"] or 1,
            given["dilations"] or 1,
        )
        cut = [-size for size in _padding(given["pads"])]
        return (F.pad(whole, cut).contiguous().numpy(),)


class MaxPool(SlowMaxPool):
    """The largest value of each window, of two dimensions; all else as the reference does it."""

    op_domain = ""

    def _run(self, x: Array, **given: Any) -> tuple[Array, ...]:  # type: ignore[override]
        unusual = given["ceil_mode"] or len(self.output) > 1 or given["auto_pad"] not in (None, "NOTSET")
        if x.ndim != 4 or unusual:
            found: tuple[Array, ...] = super()._run(x, **given)
            return found
        padded = F.pad(_tensor(x), _padding(given["pads"]), value=-torch.inf)
        strides, dilations = given["strides"] or 1, given["dilations"] or 1
        return (F.max_pool2d(padded, given["kernel_shape"], strides, dilation=dilations).numpy(),)


class Erf(OpRun):
    """The error function."""

    op_domain = ""

    def _run(self, x: Array) -> tuple[Array]:
        return (torch.erf(_tensor(x)).numpy(),)


class Gelu(OpRun):
    """x Φ(x), or what `tanh` approximates it by."""

    op_domain = ""

    def _run(self, x: Array, approximate: str | None = None) -> tuple[Array]:
        return (F.gelu(_tensor(x), approximate=approximate or "none").numpy(),)


def _padding(pads: Sequence[int] | None) -> list[int]:
    """Return sizes at the begin of all axes and then at their ends as torch has them: by axis, last first."""
    if not pads:
        return []
    axes = len(pads) // 2
    return [pads[axis + end * axes] for axis in reversed(range(axes)) for end in (0, 1)]


def _tensor(array: Array) -> torch.Tensor:
    return torch.from_numpy(np.require(array, requirements=["C", "W"]))


def _optional(array: Array | None) -> torch.Tensor | None:
    return None if array is None else _tensor(array)
