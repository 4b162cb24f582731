"""A quantized network as packed integers in a safetensors file, which numpy alone can read.

    LAYER.weight.codes       uint8: the codes less the smallest one, in as many bits as the largest needs
    LAYER.weight.scale       float32 () or (C,): level = scale · code + offset
    LAYER.weight.offset      float32 of the same shape, where there is one
    LAYER.weight.levels      float32 (n,) or (C, n), in place of a scale: the levels of all codes
    LAYER.input.*            scale, offset, levels, and thresholds (n - 1,) beside a table
    all other tensors        under the names that they have in the network

`flatqat.layers` in the metadata has the shape, the axis of C and the smallest and largest code of each.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from safetensors.numpy import save
from torch import Tensor, nn

from flatqat.export.grids import ExportedGrid
from flatqat.export.network import QuantizedNetwork, floating
from flatqat.export.packing import pack

Arrays = dict[str, np.ndarray[Any, Any]]


def as_codes(net: nn.Module, network: QuantizedNetwork, metadata: Mapping[str, str]) -> bytes:
    """Return the bytes of a file with the codes of all weights, all grids, and what is in floating point."""
    arrays: Arrays = {name: _array(tensor) for name, tensor in floating(net).items()}
    for layer, weight in network.weights.items():
        bits = (weight.grid.high - weight.grid.low).bit_length()
        arrays[f"{layer}.weight.codes"] = pack(_array(weight.codes - weight.grid.low), bits)
        arrays |= _grid(f"{layer}.weight", weight.grid)
    for layer, grid in network.inputs.items():
        arrays |= _grid(f"{layer}.input", grid)
    data: bytes = save(arrays, dict(metadata))
    return data


def _grid(prefix: str, grid: ExportedGrid) -> Arrays:
    parts = {
        "scale": grid.scale,
        "offset": grid.offset,
        "levels": grid.levels,
        "thresholds": grid.thresholds,
    }
    return {f"{prefix}.{name}": _array(tensor) for name, tensor in parts.items() if tensor is not None}


@torch.no_grad()
def _array(tensor: Tensor) -> np.ndarray[Any, Any]:
    return np.ascontiguousarray(tensor.detach().numpy()).reshape(tensor.shape)
