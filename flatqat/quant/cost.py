"""Measure what a network's layers cost, from the shapes that one image has on its way through it."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from itertools import chain, count
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from flatqat.quant.apply import TRANSPOSED, disabled, in_inference, quantizable
from flatqat.quant.base import Quantizer
from flatqat.quant.fold import weight_quantizer
from flatqat.quant.layer_cost import FLOAT_BITS, Call, LayerCost, NetworkCost

FACTORS_OF_WEIGHT = ("weight", "parametrizations.weight.")


@torch.no_grad()
def network_cost(
    model: nn.Module, shape: tuple[int, int, int], run: Callable[[Tensor], Any] | None = None
) -> NetworkCost:
    """Return what a model and each of its quantizable layers cost for one image (channels, height, width).

    The model is floating point or quantized. It runs once, on zeros; nothing of it changes, and no random
    number is drawn. Layers that only run in training are left out.

    `run` maps a batch of images to the output, if the model is called by other code, such as a window that
    slides over the image: then all its calls count.
    """
    layers: dict[str, Any] = quantizable(model)
    counter = FlopCounterMode(display=False)
    uses = _Uses(layers, counter)
    with ExitStack() as stack:
        for module in model.modules():
            stack.callback(setattr, module, "training", module.training)
        stack.enter_context(disabled(model))
        stack.enter_context(torch.random.fork_rng(devices=[]))
        # the counter sees products of matrices only where attention is made of them
        stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        for name, layer in layers.items():
            stack.callback(layer.register_forward_pre_hook(uses.before).remove)
            stack.callback(layer.register_forward_hook(partial(uses.after, name), with_kwargs=True).remove)
        model.eval()
        image = torch.zeros(1, *shape, device=_device(model))
        with counter, uses:
            (run or model)(image)
        costs, of_weights = _costs(layers, uses)
        others = sum(tensor.numel() for tensor in _tensors(in_inference(model), of_weights))
    functional = counter.get_total_flops() // 2 - uses.macs.total()
    return NetworkCost(
        image=(shape[1], shape[2]), layers=costs, functional_macs=max(0, functional), other_values=others
    )


class _Uses(TorchDispatchMode):
    """Collects the calls of layers, by hooks, and the products with their weights outside of these calls."""

    def __init__(self, layers: dict[str, nn.Module], counter: FlopCounterMode) -> None:
        super().__init__()
        self.macs: Counter[str] = Counter()
        self.direct_macs: Counter[str] = Counter()
        self.calls: dict[str, list[Call]] = {name: [] for name in layers}
        self._counter, self._places, self._running = counter, count(), 0
        self._owners = {_memory(w): name for name, layer in layers.items() for w in _sources_of_weight(layer)}

    def before(self, *_: Any) -> None:
        """Note that a layer is called."""
        self._running += 1

    def after(self, name: str, layer: nn.Module, args: Any, kwargs: Any, output: Tensor) -> None:
        """Count the call of a layer."""
        self._running -= 1
        given = args[0] if args else kwargs["input"]
        self._add(name, _macs(layer, given, output), given, output)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        before = self._counter.get_total_flops()
        output = func(*args, **(kwargs or {}))
        macs = (self._counter.get_total_flops() - before) // 2
        if macs and not self._running:
            tensors = [arg for arg in args if isinstance(arg, Tensor)]
            owners = [self._owners[_memory(tensor)] for tensor in tensors if _memory(tensor) in self._owners]
            inputs = [tensor for tensor in tensors if _memory(tensor) not in self._owners]
            if owners and inputs:
                self.direct_macs[owners[0]] += macs
                self._add(owners[0], macs, max(inputs, key=Tensor.numel), output, direct=True)
        return output

    def _add(self, name: str, macs: int, given: Tensor, output: Tensor, *, direct: bool = False) -> None:
        self.macs[name] += macs
        call = Call(place=next(self._places), inputs=given.numel(), outputs=output.numel(), direct=direct)
        self.calls[name].append(call)


def _memory(tensor: Tensor) -> int:
    """Return where the values of a tensor are: a transposed weight has those of the weight."""
    return tensor.untyped_storage().data_ptr()


def _macs(layer: Any, given: Tensor, output: Tensor) -> int:
    """Return the products of weights and inputs in one call of a layer."""
    if isinstance(layer, nn.Linear):
        return output.numel() * layer.in_features
    kernel, groups = int(prod(layer.kernel_size)), int(layer.groups)
    if isinstance(layer, TRANSPOSED):  # each input value meets the whole kernel of each output channel
        return given.numel() * int(layer.out_channels) // groups * kernel
    return output.numel() * int(layer.in_channels) // groups * kernel


def _costs(layers: dict[str, Any], uses: _Uses) -> tuple[dict[str, LayerCost], set[int]]:
    """Return the cost of each layer, and the ids of all tensors that weights are, or are computed from."""
    costs: dict[str, LayerCost] = {}
    known: set[int] = set()
    for name, layer in layers.items():
        on_weight, on_input = weight_quantizer(layer), getattr(layer, "input_quantizer", None)
        sources = set(map(id, _sources_of_weight(layer)))
        if 0 < uses.macs[name] == uses.direct_macs[name]:
            on_input = None  # it never runs
        costs[name] = LayerCost(
            macs=uses.macs[name],
            direct_macs=uses.direct_macs[name],
            weights=0 if sources <= known else layer.weight.numel(),
            weight_bits=on_weight.bits if on_weight else FLOAT_BITS,
            act_bits=on_input.bits if on_input is not None else FLOAT_BITS,
            calls=tuple(uses.calls[name]),
        )
        known |= sources
    return costs, known


def _sources_of_weight(layer: nn.Module) -> list[Tensor]:
    """Return the weight of a layer, or what it is computed from (weight norm); no part of a quantizer."""
    quantizers = (module for module in layer.modules() if isinstance(module, Quantizer))
    theirs = {id(tensor) for quantizer in quantizers for tensor in _own(quantizer)}
    named = chain(layer.named_parameters(), layer.named_buffers())
    return [t for name, t in named if name.startswith(FACTORS_OF_WEIGHT) and id(t) not in theirs]


def _tensors(modules: dict[str, nn.Module], known: set[int]) -> Iterator[Tensor]:
    """Yield each parameter and stored floating-point buffer of these modules once, but none of `known`."""
    seen = set(known)
    for module in modules.values():
        for tensor in _own(module):
            if id(tensor) not in seen and tensor.is_floating_point():
                seen.add(id(tensor))
                yield tensor


def _own(module: nn.Module) -> Iterator[Tensor]:
    stored = {
        name: b for name, b in module._buffers.items() if name not in module._non_persistent_buffers_set
    }
    yield from (t for t in chain(module._parameters.values(), stored.values()) if t is not None)


def _device(model: nn.Module) -> torch.device:
    return next((p.device for p in model.parameters()), torch.device("cpu"))
