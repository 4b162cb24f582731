"""Graphs of ONNX that are run with onnxruntime as they are written, and small networks that are exported."""

import numpy as np
import torch
from torch import nn

from flatqat.models.base import Normalized
from flatqat.quant.apply import calibrate, quantize_
from flatqat.spec import QuantSpec


def run(proto, *, optimized: bool = False, **inputs: torch.Tensor) -> torch.Tensor:
    """The first output, without any optimization of the graph unless asked for."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    level = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = level.ORT_ENABLE_ALL if optimized else level.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options)
    return torch.from_numpy(session.run(None, {k: v.numpy() for k, v in inputs.items()})[0])


def graph_of(nodes, output: str, rank: int, **inputs: list[int | None]):
    """A checked model of `Nodes`; the sizes of inputs may be None, `rank` is that of the output."""
    import onnx
    from onnx import TensorProto, helper

    values = [helper.make_tensor_value_info(k, TensorProto.FLOAT, shape) for k, shape in inputs.items()]
    outputs = [helper.make_tensor_value_info(output, TensorProto.FLOAT, [None] * rank)]
    graph = helper.make_graph(nodes.nodes, "test", values, outputs, nodes.initializers)
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnx.checker.check_model(proto, full_check=True)
    return proto


def quantized(net: nn.Module, bits: str, images: torch.Tensor, task: str = "classification") -> Normalized:
    """A network with calibrated quantizers and its normalization, in eval mode."""
    model = Normalized(net, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4), task=task).eval()
    quantize_(model.net, QuantSpec.parse(bits, keep="none"))
    calibrate(model.net, [model.normalize(images)])
    return model


def stored(proto) -> dict[str, np.ndarray]:
    """The initializers by name."""
    from onnx import numpy_helper

    return {tensor.name: numpy_helper.to_array(tensor) for tensor in proto.graph.initializer}


def kinds(proto) -> list[str]:
    return [node.op_type for node in proto.graph.node]
