"""What a file says of each quantized tensor, as plain values."""

from typing import Any

from flatqat.export.grids import ExportedGrid
from flatqat.export.network import QuantizedNetwork

Described = dict[str, Any]


def described(network: QuantizedNetwork) -> dict[str, Described]:
    """Return by layer the grids of its weight and its input; null where a tensor is in floating point.

    A weight that several layers share names the layer `of` which it is stored.
    """
    layers: dict[str, Described] = {}
    for name, owner in network.layers.items():
        weight = None
        if owner is not None:
            stored = network.weights[owner]
            weight = of_grid(stored.grid) | {"shape": list(stored.codes.shape), "of": owner}
        grid = network.inputs.get(name)
        layers[name] = {"weight": weight, "input": None if grid is None else of_grid(grid)}
    return layers


def of_grid(grid: ExportedGrid) -> Described:
    """Return bits, codes and the kind of a grid: `even`, `even with offset` or `table`."""
    kind = "table" if grid.scale is None else "even" if grid.offset is None else "even with offset"
    return {"bits": grid.bits, "low": grid.low, "high": grid.high, "grid": kind, "axis": grid.axis}
