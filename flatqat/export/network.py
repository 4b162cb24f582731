"""All grids of a quantized network, and marks in the place of its quantizers while it is traced."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from flatqat.errors import UsageError
from flatqat.export.grids import ExportedGrid
from flatqat.export.read import QuantizedWeight, input_grid, weight_codes
from flatqat.models.base import Normalized
from flatqat.quant.apply import in_inference, latent_weights, quantizable, quantizers
from flatqat.quant.base import Quantizer
from flatqat.quant.fold import weight_quantizer

DOMAIN = "flatqat"


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantizedNetwork:
    """The quantized tensors of a network.

    Attributes:
        weights: The quantized weights by layer; one that layers share is there under the first of them.
        inputs: The grids of quantized inputs by layer, see `with_inputs_that_run`.
        layers: For every layer that could be quantized, the layer under which its weight is in `weights`;
            None if the weight is in floating point.
    """

    weights: dict[str, QuantizedWeight]
    inputs: dict[str, ExportedGrid]
    layers: dict[str, str | None]


def read_network(net: nn.Module) -> QuantizedNetwork:
    """Return the quantized tensors of a network. Raises UsageError if there are none or one is refused."""
    weights, inputs, names = {}, {}, {}
    modules: dict[str, Any] = dict(net.named_modules())
    for name, quantizer in quantizers(net):
        names[quantizer] = name
        if quantizer.role == "weight":
            original = modules[name].parametrizations.weight.original
            weights[name] = weight_codes(quantizer, original.detach(), name)
        else:
            inputs[name] = input_grid(quantizer, name)
    if not names:
        raise UsageError("expected a quantized network, got one in floating point, which has no codes")
    own = {name: weight_quantizer(layer) for name, layer in quantizable(net).items()}
    layers = {name: None if quantizer is None else names[quantizer] for name, quantizer in own.items()}
    return QuantizedNetwork(weights=weights, inputs=inputs, layers=layers)


@torch.no_grad()
def with_inputs_that_run(network: QuantizedNetwork, model: Normalized, images: Tensor) -> QuantizedNetwork:
    """Return a network without the inputs that `model(images)` never rounds.

    Nothing has set the grid of a layer that is not called, whether its weight is used without it or not at
    all: what comes into it is in floating point.
    """
    ran: set[str] = set()
    with ExitStack() as stack:
        for name, quantizer in quantizers(model.net):
            if quantizer.role == "input":
                hook = quantizer.register_forward_pre_hook(lambda *_, name=name: ran.add(name))
                stack.callback(hook.remove)
        stack.callback(model.train, model.training)
        model.eval()(images)
    return replace(network, inputs={name: grid for name, grid in network.inputs.items() if name in ran})


class Mark(nn.Module):
    """Stands in a traced graph where a quantizer was: a node `flatqat::weight` or `flatqat::input`."""

    def __init__(self, role: str, layer: str) -> None:
        super().__init__()
        self.role, self.layer = role, layer

    def forward(self, v: Tensor) -> Tensor:
        """Return a tensor like `v`, known to the graph by the name of the layer."""
        operator = f"{DOMAIN}::{self.role}"
        marked: Tensor = torch.onnx.ops.symbolic(
            operator, (v,), {"layer": self.layer}, dtype=v.dtype, shape=v.shape, version=1
        )
        return marked


@contextmanager
def marked(net: nn.Module) -> Iterator[None]:
    """Within the context, marks take the place of all quantizers."""
    marks = {quantizer: Mark(quantizer.role, name) for name, quantizer in quantizers(net)}
    replaced: list[tuple[dict[str, Any], str, Quantizer]] = []
    for module in list(net.modules()):
        for name, child in module._modules.items():
            if isinstance(child, Quantizer):
                replaced.append((module._modules, name, child))
    try:
        for children, name, quantizer in replaced:
            children[name] = marks[quantizer]
        yield
    finally:
        for children, name, quantizer in replaced:
            children[name] = quantizer


def floating(net: nn.Module) -> dict[str, Tensor]:
    """Return by name what is in floating point in inference, beside grids and quantized weights.

    A tensor that has several names is there under the first.
    """
    latent = {id(tensor) for tensor, _ in latent_weights(net).values()}
    return {name: tensor for name, tensor in _tensors(net).items() if id(tensor) not in latent}


def float_bytes(net: nn.Module) -> int:
    """Return the size in float32 of all that a network computes with in inference, grids aside."""
    return sum(4 * tensor.numel() for tensor in _tensors(net).values())


def _tensors(net: nn.Module) -> dict[str, Tensor]:
    found: dict[int, tuple[str, Tensor]] = {}
    for prefix, module in in_inference(net).items():
        if not isinstance(module, Quantizer):
            own = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
            for name, tensor in own:
                if tensor.is_floating_point():
                    found.setdefault(id(tensor), (f"{prefix}.{name}".removeprefix("."), tensor))
    return dict(found.values())
