"""How others put quantizers on the same network: 4 bits, 8 in the first and last layer, a scale per channel.

Each function changes a network in place, raises ImportError if its library is not installed, and leaves the
rest of a step (normalization, loss, SGD) to the product, so that only the quantizers differ.
"""

import importlib
from collections.abc import Callable, Iterator
from math import sqrt
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

Make = Callable[[nn.Module, int, str], nn.Module]
BITS, BITS_AT_THE_ENDS = 4, 8


def layers(net: nn.Module) -> Iterator[tuple[str, Any, int]]:
    """Yield the name, the layer and the bits of every convolution and linear layer."""
    found = [(name, m) for name, m in net.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    for at, (name, layer) in enumerate(found):
        yield name, layer, BITS_AT_THE_ENDS if at in (0, len(found) - 1) else BITS


def attach(net: nn.Module, make: Make) -> None:
    """Put quantizers on weights as parametrizations and on inputs as hooks, as the product does."""
    for _, layer, bits in list(layers(net)):
        parametrize.register_parametrization(layer, "weight", make(layer, bits, "weight"), unsafe=True)
        layer.add_module("on_input", make(layer, bits, "input"))
        layer.register_forward_pre_hook(lambda layer, args: (layer.on_input(args[0]), *args[1:]))


class Learned(nn.Module):
    """A grid whose scale is a parameter."""

    def __init__(self, layer: Any, bits: int, role: str) -> None:
        super().__init__()
        weight, signed = layer.weight.detach(), role == "weight"
        self.role, self.bits = role, bits
        self.qmin, self.qmax = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
        start = weight.flatten(1).abs().mean(1) if role == "weight" else torch.ones(1)
        self.scale = nn.Parameter(2 * start / sqrt(self.qmax))
        self.register_buffer("zero", torch.zeros_like(start))

    def grad_factor(self, v: Tensor) -> float:
        count = v[0].numel()  # of a channel's weights, or of an image's features
        return 1 / sqrt(count * self.qmax)


class TorchLearnable(Learned):
    """torch's own operator with a gradient of the scale."""

    def forward(self, v: Tensor) -> Tensor:
        rest = (self.qmin, self.qmax, self.grad_factor(v))
        if self.role == "weight":
            return torch._fake_quantize_learnable_per_channel_affine(v, self.scale, self.zero, 0, *rest)
        return torch._fake_quantize_learnable_per_tensor_affine(v, self.scale, self.zero, *rest)


class TensorOperations(Learned):
    """LSQ as it is usually written: straight through, in tensor operations that autograd records."""

    def forward(self, v: Tensor) -> Tensor:
        scale = self.scale.view(-1, *[1] * (v.ndim - 1)) if self.role == "weight" else self.scale
        small = scale * self.grad_factor(v)
        scale = (scale - small).detach() + small
        ratio = (v / scale).clamp(self.qmin, self.qmax)
        return ((ratio.round() - ratio).detach() + ratio) * scale


def torch_ao(layer: nn.Module, bits: int, role: str) -> nn.Module:
    """torch.ao's fused moving averages of the range: nothing is learned."""
    ao = importlib.import_module("torch.ao.quantization")
    if role == "weight":
        return ao.FusedMovingAvgObsFakeQuantize(
            observer=ao.MovingAveragePerChannelMinMaxObserver,
            quant_min=-(2 ** (bits - 1)),
            quant_max=2 ** (bits - 1) - 1,
            dtype=torch.qint8,
            qscheme=torch.per_channel_symmetric,
            ch_axis=0,
        )
    return ao.FusedMovingAvgObsFakeQuantize(
        observer=ao.MovingAverageMinMaxObserver, quant_min=0, quant_max=2**bits - 1, dtype=torch.quint8
    )


def brevitas(net: nn.Module) -> None:
    """Replace layers by Brevitas's own, with learned scales that start from statistics."""
    qnn, scaled = importlib.import_module("brevitas.nn"), importlib.import_module("brevitas.quant.scaled_int")
    scaling = importlib.import_module("brevitas.inject.enum").ScalingImplType

    class Weight(scaled.Int8WeightPerChannelFloat):
        scaling_impl_type = scaling.PARAMETER_FROM_STATS

    class Input(scaled.Int8ActPerTensorFloat):
        collect_stats_steps = 1  # then the scale is a parameter

    for name, layer, bits in list(layers(net)):
        grids = {
            "weight_quant": Weight,
            "weight_bit_width": bits,
            "input_quant": Input,
            "input_bit_width": bits,
        }
        bias = layer.bias is not None
        if isinstance(layer, nn.Linear):
            new = qnn.QuantLinear(layer.in_features, layer.out_features, bias=bias, **grids)
        else:
            shape = {
                key: getattr(layer, key) for key in ("kernel_size", "stride", "padding", "dilation", "groups")
            }
            new = qnn.QuantConv2d(layer.in_channels, layer.out_channels, bias=bias, **shape, **grids)
        new.load_state_dict(layer.state_dict(), strict=False)
        parent, _, last = name.rpartition(".")
        setattr(net.get_submodule(parent), last, new)


PEERS: dict[str, Callable[[nn.Module], None]] = {
    "tensor operations": lambda net: attach(net, TensorOperations),
    "torch, learnable": lambda net: attach(net, TorchLearnable),
    "torch.ao": lambda net: attach(net, torch_ao),
    "Brevitas": brevitas,
}
