"""Put quantizers on a model: on weights as parametrizations, on inputs as forward pre-hooks.

This works for any model, and `isinstance(layer, nn.Conv2d)` remains true. A quantizer sees the weight that
the layer computes with (`fold_`), and layers that share a weight share its quantizer: one tensor has one
grid. Never deepcopy a quantized model (the copy shares the parametrized class): build a second one and load
the state instead.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from fnmatch import fnmatch
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import parameter
from torch.nn.utils import parametrize

from flatqat import registry
from flatqat.errors import UsageError, unknown
from flatqat.quant.base import PERCENTILE, Quantizer, RangeInit
from flatqat.quant.fold import computed, fold_
from flatqat.quant.grids import set_input_grids_, set_weight_grid_
from flatqat.quant.observe import observing
from flatqat.spec import QuantSpec

TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
LAYERS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear, *TRANSPOSED)
KEPT_BITS = 8
OWN_NAME = re.compile(r"(^|\.)(parametrizations\..*|input_quantizer)$")  # of a quantizer in its layer


def in_inference(model: nn.Module) -> dict[str, nn.Module]:
    """Return all modules by name, in order of registration, except heads marked `training_only`."""
    modules, skipped = {}, []
    for name, module in model.named_modules():
        if getattr(module, "training_only", False):
            skipped.append(f"{name}.")
        elif not name.startswith(tuple(skipped)):
            modules[name] = module
    return modules


def quantizable(model: nn.Module) -> dict[str, nn.Module]:
    """Return the convolutions and linear layers used in inference by name, in order of registration.

    Raises UsageError if one of them is lazy and does not know its shape yet.
    """
    modules = in_inference(model).items()
    layers: dict[str, nn.Module] = {name: layer for name, layer in modules if isinstance(layer, LAYERS)}
    for name, layer in layers.items():
        if any(map(parameter.is_lazy, layer.parameters())):
            raise UsageError(
                f"layer {name}: expected a layer of known shape, got {type(layer).__name__} before its first "
                "input; pass one batch through the network where it is built"
            )
    return layers


def layers_version(model: nn.Module) -> int:
    """Return 2 if the model has layers whose numbers changed once, and 1 for all other models.

    Version 1 left transposed convolutions in floating point, did not calibrate weights that a layer computes
    (weight norm), and gave layers that share a weight a grid each.

    Raises UsageError if a layer cannot be quantized.
    """
    layers = quantizable(model)
    shared = len({id(layer._parameters.get("weight", layer)) for layer in layers.values()}) < len(layers)
    transposed = any(isinstance(layer, TRANSPOSED) for layer in layers.values())
    return 2 if computed(layers) or shared or transposed else 1


def quantize_(model: nn.Module, spec: QuantSpec) -> None:
    """Put quantizers on every layer that is `quantizable`, in place; `calibrate` sets their scales.

    Of layers that share a weight, the one with the most bits decides about the weight.

    Raises UsageError if a pattern of the spec matches no layer, if there are none, or as `fold_` does.
    """
    if spec.is_fp:
        return
    if not (layers := quantizable(model)):
        raise UsageError(
            f"{type(model).__name__}: expected convolution or linear layers to quantize, got none"
        )
    fold_(layers)
    sharing: dict[int, list[str]] = {}
    for name, layer in layers.items():
        sharing.setdefault(id(layer.weight), []).append(name)
    specs = by_layer(list(layers), spec)
    for names in sharing.values():
        first: Any = layers[names[0]]
        device = first.weight.device
        on_weight = new_weight_quantizer(first, max((specs[name] for name in names), key=_weight_bits))
        for name in names:
            if on_weight is not None:
                parametrize.register_parametrization(layers[name], "weight", on_weight.to(device))
            if (bits := specs[name].act_bits) is not None:
                quantizer: type[Quantizer] = registry.load(registry.QUANTIZERS, specs[name].quantizer)
                layers[name].add_module("input_quantizer", quantizer(bits=bits, role="input").to(device))
                layers[name].register_forward_pre_hook(quantize_input, with_kwargs=True)


def _weight_bits(spec: QuantSpec) -> int:
    return spec.weight_bits or 32


def new_weight_quantizer(layer: Any, spec: QuantSpec) -> Quantizer | None:
    """Return a quantizer for the weight of a layer, with a grid per output channel where the spec asks so.

    Output channels are the first axis of a weight, and the second one of a transposed convolution, whose
    groups share the grids.
    """
    if spec.weight_bits is None:
        return None
    quantizer: type[Quantizer] = registry.load(registry.QUANTIZERS, spec.quantizer)
    axis, shape = int(isinstance(layer, TRANSPOSED)), [1] * layer.weight.ndim
    shape[axis] = layer.weight.shape[axis]
    per_channel = spec.per_channel and quantizer.per_channel
    if axis and shape[axis] == 1:  # `channel_axis` finds the second axis only by its length
        per_channel = False
    made = quantizer(bits=spec.weight_bits, role="weight", scale_shape=tuple(shape) if per_channel else ())
    made.channel_axis = axis
    return made


def by_layer(names: Sequence[str], spec: QuantSpec) -> dict[str, QuantSpec]:
    """Return the bit widths and quantizer of each layer: those of the spec, of kept layers, or its own.

    `first` and `last` are the first and last layer in order of registration; other patterns are fnmatch
    patterns of names. Layers that match `spec.keep` have 8 bits, unless `spec.layer_bits` gives them their
    own; there the last matching pattern decides.

    Raises UsageError if a pattern matches no layer.
    """
    quantizer = registry.load(registry.QUANTIZERS, spec.quantizer)
    specs = dict.fromkeys(names, spec)
    weight_bits, act_bits = (bits and max(KEPT_BITS, bits) for bits in (spec.weight_bits, spec.act_bits))
    edge_quantizer = quantizer.edge_quantizer or spec.quantizer
    kept = replace(spec, weight_bits=weight_bits, act_bits=act_bits, quantizer=edge_quantizer)
    for pattern in spec.keep:
        specs |= dict.fromkeys(_matching(names, pattern, "keep"), kept)
    for pattern, bits in spec.layer_bits:
        own = replace(QuantSpec.parse(bits), quantizer=spec.quantizer)
        specs |= dict.fromkeys(_matching(names, pattern, "layer-bits"), own)
    return specs


def _matching(names: Sequence[str], pattern: str, option: str) -> list[str]:
    ends = {"first": names[:1], "last": names[-1:]}
    if matched := ends.get(pattern, [name for name in names if fnmatch(name, pattern)]):
        return list(matched)
    raise unknown(f"layer of --{option}", pattern, [*ends, *names])


def quantizers(model: nn.Module) -> Iterator[tuple[str, Quantizer]]:
    """Yield (layer name, quantizer) for every quantizer, of weights and of inputs."""
    for name, module in model.named_modules():
        if isinstance(module, Quantizer):
            yield OWN_NAME.sub("", name), module


def latent_weights(model: nn.Module) -> dict[str, tuple[Tensor, Quantizer]]:
    """Return a dict from the name of each quantized weight to a pair: the latent parameter and its quantizer.

    A weight that layers share appears once, under its first name, as in `named_parameters`. A loop over it:
    `for name, (w, quantizer) in latent_weights(self.model).items()`.
    """
    found: dict[str, tuple[Tensor, Quantizer]] = {}
    known: set[int] = set()
    for name, module in model.named_modules():
        if isinstance(module, parametrize.ParametrizationList) and isinstance(module[0], Quantizer):
            if id(module.original) not in known:
                found[f"{name}.original"] = (module.original, module[0])
            known.add(id(module.original))
    return found


@torch.no_grad()
def calibrate(
    model: nn.Module, batches: Iterable[Tensor], range_init: RangeInit = "own", percentile: float = PERCENTILE
) -> None:
    """Set every grid: of weights from the weights, of inputs from a full-precision pass over `batches`.

    `Quantizer.calibrate` explains the range initializations. A model without quantizers is not run.

    Raises TrainingFailed if a weight or an input has no finite range.
    """
    for name, (weight, quantizer) in latent_weights(model).items():
        set_weight_grid_(quantizer, weight, name, range_init, percentile)
    inputs = {name: quantizer for name, quantizer in quantizers(model) if quantizer.role == "input"}
    if not inputs:
        return
    with ExitStack() as stack, disabled(model, roles=("weight",)), observing(inputs.values()):
        stack.callback(model.train, model.training)
        model.eval()
        for images in batches:
            model(images)
        set_input_grids_(inputs, range_init, percentile)


def disabled(model: nn.Module, roles: tuple[str, ...] = ("weight", "input")) -> AbstractContextManager[None]:
    """Return a context in which quantizers of these roles return their tensors unchanged."""
    return switched([q for _, q in quantizers(model) if q.role in roles], "enabled", False)


def ste_gradients(model: nn.Module) -> AbstractContextManager[None]:
    """Return a context in which every quantizer has straight-through gradients, to measure curvature.

    Factors on the gradients of step sizes become 1, and a backward pass that is not the gradient of a
    function (`custom_backward`) is replaced: a Hessian must be symmetric.
    """
    return switched([q for _, q in quantizers(model)], "ste_only", True)


@contextmanager
def switched(modules: Iterable[nn.Module], attribute: str, value: bool) -> Iterator[None]:
    """Within the context, give an attribute of all modules this value."""
    changed = [module for module in modules if getattr(module, attribute) != value]
    for module in changed:
        setattr(module, attribute, value)
    try:
        yield
    finally:
        for module in changed:
            setattr(module, attribute, not value)


cached_weights = parametrize.cached
"""A context in which each weight is quantized once, at its first use; for inference only."""


def quantize_weights(model: nn.Module) -> None:
    """Put every quantized weight of a model into the cache of `cached_weights`.

    Where many models run in turn this keeps memory in one piece: a small cached weight allocated between two
    large activations would split the block that they leave when they are freed.
    """
    for module in model.modules():
        if parametrize.is_parametrized(module):
            assert isinstance(module.parametrizations, nn.ModuleDict)
            for name in module.parametrizations:
                getattr(module, name)


def quantize_input(layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
    """Return the arguments of a layer with its `input_quantizer` applied to the input: a pre-hook."""
    if args:
        return (layer.input_quantizer(args[0]), *args[1:]), kwargs
    return args, {**kwargs, "input": layer.input_quantizer(kwargs["input"])}
