"""Put grids in the place of the marks in a traced graph."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from onnx import GraphProto, ModelProto, NodeProto

from flatqat.errors import UsageError
from flatqat.export.network import DOMAIN, QuantizedNetwork
from flatqat.export.nodes import Nodes, add_rounding, add_weight
from flatqat.export.read import QuantizedWeight


def place_grids_(model: ModelProto, network: QuantizedNetwork) -> None:
    """Replace every mark by nodes of ONNX and integer codes, in place; a shared weight is stored once.

    A weight that is only used transposed is stored transposed. What nothing reads any more is removed, and
    so is what the tracer says of source files. Raises UsageError if a mark is in a branch or a loop.
    """
    graph = model.graph
    orders = _orders(graph)
    placed: dict[str, str] = {}
    done: set[str] = set()  # weights that are stored transposed
    renamed: dict[str, str] = {}
    nodes: list[NodeProto] = []
    calls: Counter[str] = Counter()
    for node in graph.node:
        node.input[:] = [renamed.get(name, name) for name in node.input]
        if node.domain != DOMAIN:
            if node.op_type == "Transpose" and node.input[0] in done:
                renamed[node.output[0]] = node.input[0]
            else:
                nodes.append(node)
            continue
        layer = layer_of(node)
        part = Nodes(f"{layer}.{node.op_type}")
        if node.op_type == "input":
            calls[layer] += 1
            if calls[layer] > 1:  # a layer may be called more than once
                part = Nodes(f"{layer}.input.{calls[layer]}")
            renamed[node.output[0]] = add_rounding(part, network.inputs[layer], node.input[0])
        else:
            if layer not in placed:
                weight, order = network.weights[layer], orders.get(layer)
                placed[layer] = add_weight(part, weight if order is None else _permuted(weight, order))
                done |= {placed[layer]} if order is not None else set()
            renamed[node.output[0]] = placed[layer]
        nodes += part.nodes
        graph.initializer.extend(part.initializers)
    del graph.node[:]
    graph.node.extend(nodes)
    for value in graph.output:
        value.name = renamed.get(value.name, value.name)
    if any(node.domain == DOMAIN for node in walk(graph)):
        raise UsageError("expected quantized layers outside of branches and loops; they cannot be exported")
    tidy_(model)


def tidy_(model: ModelProto) -> None:
    """Remove unread initializers, domains that no node is of, and the tracer's notes, in place."""
    graph = model.graph
    every = list(walk(graph))
    read = {name for node in every for name in node.input} | {value.name for value in graph.output}
    kept = [initializer for initializer in graph.initializer if initializer.name in read]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    domains = {node.domain for node in every}
    versions = [entry for entry in model.opset_import if entry.domain in domains]
    del model.opset_import[:]
    model.opset_import.extend(versions)
    for part in (model, graph, *every, *kept, *graph.input, *graph.output):
        del part.metadata_props[:]
        part.ClearField("doc_string")


def walk(graph: GraphProto) -> Iterator[NodeProto]:
    """Yield all nodes, those of branches and loops included."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from walk(inner)


def layer_of(mark: NodeProto) -> str:
    """Return the layer whose quantizer a mark stands for."""
    layer: str = next(attribute.s.decode() for attribute in mark.attribute if attribute.name == "layer")
    return layer


def readers_of(graph: GraphProto) -> dict[str, list[NodeProto]]:
    """Return by name of a value the nodes that read it; one that reads it twice is there twice."""
    readers: dict[str, list[NodeProto]] = {}
    for node in walk(graph):
        for name in node.input:
            readers.setdefault(name, []).append(node)
    return readers


def _orders(graph: GraphProto) -> dict[str, list[int]]:
    """Return by layer the order of axes of each weight that all its readers transpose alike."""
    readers = readers_of(graph)
    orders: dict[str, list[list[int] | None]] = {}
    for mark in graph.node:
        if mark.domain == DOMAIN and mark.op_type == "weight":
            orders.setdefault(layer_of(mark), []).extend(map(_order, readers.get(mark.output[0], [])))
    return {
        layer: found[0]
        for layer, found in orders.items()
        if found and found[0] is not None and all(order == found[0] for order in found)
    }


def _order(node: NodeProto) -> list[int] | None:
    perm = [list(a.ints) for a in node.attribute if a.name == "perm"]
    return perm[0] if node.op_type == "Transpose" and perm else None


def _permuted(weight: QuantizedWeight, order: Sequence[int]) -> QuantizedWeight:
    axis = weight.grid.axis
    grid = weight.grid if axis is None else replace(weight.grid, axis=order.index(axis))
    return QuantizedWeight(grid=grid, codes=weight.codes.permute(*order))
