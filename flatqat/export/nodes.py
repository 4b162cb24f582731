"""Nodes of ONNX that put a tensor on a grid, or give stored codes their levels."""

from math import ceil, log2
from typing import Any

import torch
from onnx import NodeProto, TensorProto, helper, numpy_helper
from torch import Tensor

from flatqat.export.grids import ExportedGrid
from flatqat.export.packing import pack
from flatqat.export.read import QuantizedWeight
from flatqat.export.storage import Integers, input_type, weight_type


class Nodes:
    """Nodes one after the other, and the initializers that they read; all names begin alike."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.nodes: list[NodeProto] = []
        self.initializers: list[TensorProto] = []

    def add(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add a node and return the name of its output."""
        name = f"{self.prefix}.{len(self.nodes)}.{kind}"
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def constant(self, name: str, value: Tensor) -> str:
        """Add an initializer and return its name."""
        name = f"{self.prefix}.{name}"
        array = value.detach().contiguous().numpy()
        self.initializers.append(numpy_helper.from_array(array, name))
        return name

    def integers(self, name: str, value: Tensor, kind: Integers) -> str:
        """Add an initializer of an integer type and return its name."""
        name = f"{self.prefix}.{name}"
        data = pack(value.contiguous().numpy(), kind.bits).tobytes()
        self.initializers.append(helper.make_tensor(name, kind.type, list(value.shape), data, raw=True))
        return name


def add_weight(nodes: Nodes, weight: QuantizedWeight) -> str:
    """Add what gives the codes of a weight their levels; returns the name of the float weight."""
    grid, codes, kind = weight.grid, weight.codes, weight_type(weight.grid)
    if grid.scale is None:
        return _add_table(nodes, weight, kind)
    axis = {} if grid.axis is None else {"axis": grid.axis}
    stored = nodes.integers("codes", codes, kind)
    levels = nodes.add("DequantizeLinear", stored, nodes.constant("scale", grid.scale), **axis)
    if grid.offset is None:
        return levels
    return nodes.add("Add", levels, nodes.constant("offset", grid.along(grid.offset, codes.ndim)))


def add_rounding(nodes: Nodes, grid: ExportedGrid, v: str) -> str:
    """Add what puts a tensor on a grid; returns the name of the result."""
    if grid.scale is None:
        return _add_search(nodes, grid, v)
    kind, zero = input_type(grid)
    scale, point = nodes.constant("scale", grid.scale), nodes.integers("zero_point", torch.tensor(zero), kind)
    offset = None if grid.offset is None else nodes.constant("offset", grid.offset)
    if offset is not None:
        v = nodes.add("Sub", v, offset)
    narrower = grid.low + zero > kind.low, grid.high + zero < kind.high
    if any(narrower):
        ends = [
            nodes.constant(name, grid.scale * code) if needed else ""
            for name, code, needed in zip(("low", "high"), (grid.low, grid.high), narrower, strict=True)
        ]
        v = nodes.add("Clip", v, *ends)
    codes = nodes.add("QuantizeLinear", v, scale, point)
    levels = nodes.add("DequantizeLinear", codes, scale, point)
    return levels if offset is None else nodes.add("Add", levels, offset)


def _add_table(nodes: Nodes, weight: QuantizedWeight, kind: Integers) -> str:
    """Look levels up; the tables of all channels lie behind each other."""
    grid = weight.grid
    assert grid.levels is not None
    stored = nodes.integers("codes", weight.codes - grid.low, kind)
    index = nodes.add("Cast", stored, to=TensorProto.INT32)
    if grid.axis is not None:
        starts = (torch.arange(len(grid.levels)) * grid.count).to(torch.int32)
        index = nodes.add("Add", index, nodes.constant("starts", grid.along(starts, weight.codes.ndim)))
    return nodes.add("Gather", nodes.constant("levels", grid.levels.flatten()), index)


def _add_search(nodes: Nodes, grid: ExportedGrid, v: str) -> str:
    """Search thresholds in a binary tree: the children of node n are 2n and, above its threshold, 2n + 1."""
    assert grid.thresholds is not None
    assert grid.levels is not None
    depth = ceil(log2(grid.count))
    leaves = 2**depth
    padded = torch.cat([grid.thresholds, torch.full((leaves - grid.count,), torch.inf)])
    rows = [padded[(leaves >> row + 1) - 1 :: leaves >> row] for row in range(depth)]
    tree, levels = torch.cat([torch.zeros(1), *rows]), torch.cat([torch.zeros(leaves), grid.levels])
    root, two = nodes.constant("root", tree[1]), nodes.constant("two", torch.tensor(2, dtype=torch.int32))
    place = nodes.add("Add", _above(nodes, v, root), two)
    thresholds = nodes.constant("thresholds", tree)
    for _ in range(depth - 1):
        above = _above(nodes, v, nodes.add("Gather", thresholds, place))
        place = nodes.add("Add", nodes.add("Add", place, place), above)
    return nodes.add("Gather", nodes.constant("levels", levels), place)


def _above(nodes: Nodes, v: str, threshold: str) -> str:
    return nodes.add("Cast", nodes.add("Greater", v, threshold), to=TensorProto.INT32)
