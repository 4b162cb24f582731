"""A cell and its file in float64, where rounding cannot hide what differs between them.

In float32, summing in another order flips codes, and deep networks amplify such flips (see `control`). In
float64 that is a billion times rarer: a file that says what its cell says has all of its codes, and logits
that are equal to some 14 digits. So whatever differs here is a fault of the file, or a constant that was
rounded to float32 when it was written, as those of folded BatchNorm are.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from flatqat.bench.deploy.agreement import Agreement
from flatqat.bench.deploy.codes import CodeComparison, CodesByLayer
from flatqat.bench.deploy.exported_file import ExportedFile
from flatqat.bench.deploy.reference import Reference, exact_root
from flatqat.bench.deploy.runtime import InBatches, Loaded
from flatqat.export.grids import ExportedGrid
from flatqat.export.network import QuantizedNetwork, read_network
from flatqat.models.base import Normalized
from flatqat.quant.apply import quantizable
from flatqat.spec import Exact

Both = Callable[[Tensor], tuple[Tensor, CodesByLayer]]
"""Maps images in float64 to logits and to the codes of quantized inputs."""


class InFloat64:
    """Compares a cell and its file in float64, on as many images as are added."""

    def __init__(self, model: Normalized, file: ExportedFile) -> None:
        """Take the file, and the cell's network for this alone: it is changed in place."""
        network = read_network(model.net)
        self._cell = exact_cell_(model, network)
        self._file = exact_file(file, list(network.inputs))
        self._agreement, self._codes, self._images = Agreement(), CodeComparison(), 0
        self._problem = ""

    @torch.inference_mode()
    def add(self, images: Tensor) -> None:
        """Compare both on images (B, 3, H, W) of float32."""
        if self._problem or not len(images):
            return
        try:
            logits, codes = self._cell(images.double())
            of_file, codes_of_file = self._file(images.double())
        except Exception as error:  # a network may compute in float32 whatever it is given
            self._problem = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            return
        everywhere = logits.argmax(1)  # of pixels all count, labeled or not
        self._agreement.add(logits, of_file, torch.zeros_like(everywhere))
        self._codes.add(codes, codes_of_file, len(images))
        self._images += len(images)

    def result(self) -> Exact:
        """Return what was found so far."""
        if self._problem:
            return Exact(problem=self._problem)
        seen = self._agreement
        return Exact(
            images=self._images,
            predictions=seen.predictions,
            agreement=100 * seen.equal / seen.predictions if seen.predictions else 100.0,
            largest=seen.largest if math.isfinite(seen.largest) else None,
            codes=self._codes.result(),
        )


def exact_cell_(model: Normalized, network: QuantizedNetwork) -> Both:
    """Return a quantized network in float64, in place: grids and constants are what float32 makes of them."""
    for name, layer in quantizable(model.net).items():
        module: Any = layer
        if (owner := network.layers[name]) is not None:
            codes = network.weights[owner]
            levels = _widened(codes.grid).dequantize(codes.codes)
            parametrize.remove_parametrizations(module, "weight", leave_parametrized=False)
            module.weight = nn.Parameter(levels, requires_grad=False)
    seen: CodesByLayer = {}
    for name, grid in network.inputs.items():
        rounding: Any = model.net.get_submodule(name)
        rounding.input_quantizer = _Rounding(_widened(grid), name, seen)
    for part in model.modules():
        for attribute, value in vars(part).items():
            if isinstance(value, float):  # which a file has in float32
                stored = float(np.float32(value))
                of_node = type(part).__module__.startswith("torch.nn")  # an attribute there, such as epsilon
                setattr(part, attribute, stored if of_node else exact_root(stored))
    model.double()

    def run(images: Tensor) -> tuple[Tensor, CodesByLayer]:
        seen.clear()
        logits: Tensor = model(images)
        return logits, dict(seen)

    return run


def exact_file(file: ExportedFile, layers: Sequence[str]) -> Both:
    """Return a file's graph in float64."""
    data, with_codes = file.with_codes(layers)
    graph: Loaded = Reference(data) if file.batch is None else InBatches(Reference(data), file.batch)

    def run(images: Tensor) -> tuple[Tensor, CodesByLayer]:
        logits, *outputs = map(torch.from_numpy, graph.run(images.numpy()))
        found: CodesByLayer = {}
        for layer, output in zip(with_codes, outputs, strict=True):
            found.setdefault(layer, []).append(output)
        return logits, found

    return run


class _Rounding(nn.Module):
    """Puts an input on its grid, and keeps its codes."""

    def __init__(self, grid: ExportedGrid, layer: str, seen: CodesByLayer) -> None:
        super().__init__()
        self._grid, self._layer, self._seen = grid, layer, seen

    def forward(self, v: Tensor) -> Tensor:
        codes = self._grid.codes(v)
        self._seen.setdefault(self._layer, []).append(codes)
        return self._grid.dequantize(codes)


def _widened(grid: ExportedGrid) -> ExportedGrid:
    """Return a grid whose numbers are the same, in float64."""
    parts = {name: getattr(grid, name) for name in ("scale", "offset", "levels", "thresholds")}
    return replace(grid, **{name: part.double() for name, part in parts.items() if part is not None})
