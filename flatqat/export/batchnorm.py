"""Fold BatchNorm into the grids of the weights before it: other scales, the same codes.

Behind a layer with the weight w and the bias b, BatchNorm computes a · (w x + b - mean) + beta for each
channel, with a = gamma / sqrt(variance + epsilon). So the levels of w are multiplied by a. Scales have to be
positive: where a is negative the codes change their sign, or with an offset are mirrored, which gives the
same levels. Where that is impossible BatchNorm stays.
"""

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import torch
from onnx import GraphProto, ModelProto, NodeProto, numpy_helper
from torch import Tensor

from flatqat.export.graph import layer_of, readers_of
from flatqat.export.network import DOMAIN, QuantizedNetwork
from flatqat.export.read import QuantizedWeight
from flatqat.export.storage import weight_type

AXES = {"Conv": 0, "ConvTranspose": 1, "Gemm": 0}
BATCHNORM = "BatchNormalization"


@dataclass(frozen=True, slots=True, kw_only=True)
class Folded:
    """The network with folded weights, how many BatchNorms were folded, and why others were kept."""

    network: QuantizedNetwork
    count: int
    kept: list[str]


def fold_batchnorm_(model: ModelProto, network: QuantizedNetwork) -> Folded:
    """Fold every BatchNorm behind a quantized layer, in place, in a graph with marks."""
    graph = model.graph
    weights, kept, count = dict(network.weights), [], 0
    lookup = _Lookup(graph)
    for norm in [node for node in graph.node if node.op_type == BATCHNORM]:
        layer, name = lookup.layer_before(norm)
        if layer is None:
            kept.append(f"{name or norm.name} (not behind a quantized layer of its own)")
            continue
        gamma, beta, mean, variance = (lookup.values[part] for part in norm.input[1:])
        factor = gamma / (variance + _attribute(norm, "epsilon", 1e-5)).sqrt()
        scaled = _scaled(weights[name], factor, layer)
        if isinstance(scaled, str):
            kept.append(f"{name} ({scaled})")
            continue
        bias = lookup.values[layer.input[2]] if len(layer.input) > 2 else torch.zeros(())
        array = ((bias - mean) * factor + beta).float().numpy()
        graph.initializer.append(numpy_helper.from_array(array, f"{name}.bias"))
        layer.input[:] = [*layer.input[:2], f"{name}.bias"]
        layer.output[0] = norm.output[0]
        graph.node.remove(norm)
        weights[name] = scaled
        count += 1
    return Folded(network=replace(network, weights=weights), count=count, kept=kept)


class _Lookup:
    """What makes and what reads each value of a graph, and the values that are known."""

    def __init__(self, graph: GraphProto) -> None:
        self.values = {tensor.name: _read(tensor) for tensor in graph.initializer}
        self.readers = readers_of(graph)
        self.makers = {name: node for node in graph.node for name in node.output}
        marks = (node for node in graph.node if node.domain == DOMAIN and node.op_type == "weight")
        self.uses = Counter(map(layer_of, marks))

    def layer_before(self, norm: NodeProto) -> tuple[NodeProto | None, str]:
        """Return the layer whose output a BatchNorm alone reads, if its weight is its own, and its name."""
        layer = self.makers.get(norm.input[0])
        mark = self.makers.get(layer.input[1]) if layer is not None and layer.op_type in AXES else None
        if layer is None or mark is None or mark.domain != DOMAIN:
            return None, ""
        name = layer_of(mark)
        own = self.uses[name] == len(self.readers[mark.output[0]]) == len(self.readers[norm.input[0]]) == 1
        known = all(part in self.values for part in (*norm.input[1:], *layer.input[2:]))
        plain = layer.op_type != "Gemm" or (
            _attribute(layer, "transB", 0)
            == _attribute(layer, "alpha", 1)
            == _attribute(layer, "beta", 1)
            == 1
        )
        return layer if own and known and plain else None, name


def _scaled(weight: QuantizedWeight, factor: Tensor, layer: NodeProto) -> QuantizedWeight | str:
    """Return a weight whose levels are multiplied by a factor for each channel, or why that cannot be."""
    grid, codes, axis = weight.grid, weight.codes, AXES[layer.op_type]
    if axis == 1 and _attribute(layer, "group", 1) > 1:
        return "its groups share scales"
    if grid.scale is None:
        return "its levels are in a table"
    scale = grid.scale.double() * factor.abs()
    if not bool(((scale.float() > 0) & scale.float().isfinite()).all()):
        return "a factor of zero"
    grid = replace(grid, axis=axis, scale=scale.float())
    flipped = grid.along(factor < 0, codes.ndim).expand(codes.shape)
    if grid.offset is None:
        codes = torch.where(flipped, -codes, codes)
        kind = weight_type(weight.grid)
        low, high = min(grid.low, int(codes.min())), max(grid.high, int(codes.max()))
        if low < kind.low or high > kind.high:
            return f"a negative factor, and {kind.name} has no code of the other sign"
        return QuantizedWeight(grid=replace(grid, low=low, high=high), codes=codes)
    ends = grid.low + grid.high
    offset = grid.offset.double() * factor - scale * ends * (factor < 0)
    return QuantizedWeight(
        grid=replace(grid, offset=offset.float()), codes=torch.where(flipped, ends - codes, codes)
    )


def _read(tensor: Any) -> Tensor:
    return torch.from_numpy(numpy_helper.to_array(tensor).copy()).double()


def _attribute(node: NodeProto, name: str, default: float) -> float:
    for attribute in node.attribute:
        if attribute.name == name:
            return attribute.f if attribute.type == attribute.FLOAT else float(attribute.i)
    return default
