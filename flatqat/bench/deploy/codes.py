"""The integer codes at the inputs of quantized layers, of the cell and of its file, on some images."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from flatqat.bench.deploy.runtime import Loaded
from flatqat.errors import UsageError
from flatqat.models.base import Normalized
from flatqat.quant.apply import quantizers
from flatqat.spec import CodeFlips

CodesByLayer = dict[str, list[Tensor]]
"""By layer, in the order of computing, the codes of each call of it."""


class CodeComparison:
    """Counts the codes that differ between a cell and something else."""

    def __init__(self) -> None:
        self._images = self._codes = self._differing = self._largest = 0
        self._layers: set[str] = set()
        self._first: tuple[int, str] | None = None

    def add(self, cell: CodesByLayer, other: CodesByLayer, images: int) -> None:
        """Compare the codes of the layers that `other` has; both are of the same images.

        Raises UsageError if `other` has more or fewer codes at a layer.
        """
        for place, layer in enumerate(cell):
            if layer not in other:  # its inputs are looked up in a table
                continue
            calls, of_file = len(cell[layer]), len(other[layer])
            if calls != of_file:
                raise UsageError(
                    f"the file: expected codes of {calls} calls of {layer}, got {of_file}; the export merges "
                    "calls that compute the same, so call the layer once in the network"
                )
            for expected, found in zip(cell[layer], other[layer], strict=True):
                if found.numel() != expected.numel():
                    shapes = f"expected codes {tuple(expected.shape)} at {layer}, got {tuple(found.shape)}"
                    raise UsageError(f"the file: {shapes}; the runtime may not support it on this CPU")
                differences = (found.reshape(expected.shape) - expected).abs()
                differing = int((differences > 0).sum())
                self._codes += expected.numel()
                self._differing += differing
                self._largest = max(self._largest, int(differences.max()))
                self._layers.add(layer)
                if differing and (self._first is None or (place, layer) < self._first):
                    self._first = place, layer
        self._images += images

    def result(self) -> CodeFlips:
        """Return what was counted so far."""
        return CodeFlips(
            images=self._images,
            layers=len(self._layers),
            codes=self._codes,
            differing=self._differing,
            largest=self._largest,
            first=self._first[1] if self._first else "",
        )


def codes_of_file(loaded: Loaded, layers: list[str]) -> Callable[[Tensor], CodesByLayer]:
    """Return a function from images to codes, which a graph returns after its logits, one for each layer."""

    def codes(images: Tensor) -> CodesByLayer:
        found: CodesByLayer = {}
        outputs = loaded.run(np.ascontiguousarray(images.numpy()))[1:]
        for layer, output in zip(layers, outputs, strict=True):
            found.setdefault(layer, []).append(torch.from_numpy(output))
        return found

    return codes


def codes_of_cell(model: Normalized, network: Callable[[Tensor], Tensor]) -> Callable[[Tensor], CodesByLayer]:
    """Return a function from images to the codes of a model's inputs while `network` calls the model."""

    def codes(images: Tensor) -> CodesByLayer:
        found: CodesByLayer = {}
        hooks = []
        for layer, quantizer in quantizers(model.net):

            def record(module: Any, args: tuple[Any, ...], layer: str = layer) -> None:
                found.setdefault(layer, []).append(module.codes(args[0]))

            if quantizer.role == "input":
                hooks.append(quantizer.register_forward_pre_hook(record))
        try:
            network(images)
        finally:
            for hook in hooks:
                hook.remove()
        return found

    return codes
