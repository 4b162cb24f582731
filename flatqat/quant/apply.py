"""Put quantizers on a model: on weights as parametrizations, on inputs as forward pre-hooks.

This works for any model, and `isinstance(layer, nn.Conv2d)` remains true. Never deepcopy a quantized model
(the copy shares the parametrized class): build a second one and load the state instead.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from fnmatch import fnmatch
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from flatqat import registry
from flatqat.errors import TrainingFailed, UsageError, unknown
from flatqat.quant.base import Quantizer, RangeInit
from flatqat.quant.observe import Observer
from flatqat.spec import QuantSpec

LAYERS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
KEPT_BITS = 8


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
    """Return the convolutions and linear layers used in inference by name, in order of registration."""
    return {name: layer for name, layer in in_inference(model).items() if isinstance(layer, LAYERS)}


def quantize_(model: nn.Module, spec: QuantSpec) -> None:
    """Put quantizers on every layer that is `quantizable`, in place; `calibrate` sets their scales.

    Raises UsageError if a pattern of the spec matches no layer, or the model has no such layers.
    """
    if spec.is_fp:
        return
    if not (layers := quantizable(model)):
        raise UsageError(
            f"{type(model).__name__}: expected convolution or linear layers to quantize, got none"
        )
    for name, chosen in by_layer(list(layers), spec).items():
        layer: Any = layers[name]
        quantizer: type[Quantizer] = registry.load(registry.QUANTIZERS, chosen.quantizer)
        if chosen.weight_bits is not None:
            weight, per_channel = layer.weight, spec.per_channel and quantizer.per_channel
            shape = (len(weight), *[1] * (weight.ndim - 1)) if per_channel else ()
            on_weight = quantizer(bits=chosen.weight_bits, role="weight", scale_shape=shape)
            parametrize.register_parametrization(layer, "weight", on_weight.to(weight.device))
        if chosen.act_bits is not None:
            on_input = quantizer(bits=chosen.act_bits, role="input").to(next(layer.parameters()).device)
            layer.add_module("input_quantizer", on_input)
            layer.register_forward_pre_hook(_quantize_input)


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
            yield name.split(".parametrizations.")[0].removesuffix(".input_quantizer"), module


def latent_weights(model: nn.Module) -> dict[str, tuple[Tensor, Quantizer]]:
    """Return the latent parameter and the quantizer of each quantized weight, by the parameter's name."""
    return {
        f"{name}.original": (module.original, module[0])
        for name, module in model.named_modules()
        if isinstance(module, parametrize.ParametrizationList) and isinstance(module[0], Quantizer)
    }


@torch.no_grad()
def calibrate(
    model: nn.Module, batches: Iterable[Tensor], range_init: RangeInit = "own", percentile: float = 99.9
) -> None:
    """Set every grid: of weights from the weights, of inputs from a full-precision pass over `batches`.

    `Quantizer.calibrate` explains the range initializations. A model without quantizers is not run.

    Raises TrainingFailed if a weight or an input has no finite range.
    """

    def set_grid(quantizer: Quantizer, observed: Observer, tensor: str) -> None:
        if not bool((observed.low.isfinite() & observed.high.isfinite()).all()):
            problem = "expected finite values to calibrate on, got NaN or infinity"
            raise TrainingFailed(f"{tensor}: {problem}; check the weights that it starts from")
        quantizer.calibrate(observed, range_init, percentile)

    for name, (weight, quantizer) in latent_weights(model).items():
        observed = Observer(tuple(quantizer.scale.shape), keep_all=True)
        observed.add(weight)
        set_grid(quantizer, observed, name)
    inputs = {name: quantizer for name, quantizer in quantizers(model) if quantizer.role == "input"}
    if not inputs:
        return
    with ExitStack() as stack, disabled(model, roles=("weight",)):
        stack.callback(model.train, model.training)
        model.eval()
        for quantizer in inputs.values():
            quantizer.observer = Observer(tuple(quantizer.scale.shape))
            stack.callback(setattr, quantizer, "observer", None)
        for images in batches:
            model(images)
        for name, quantizer in inputs.items():
            if quantizer.observer is not None and quantizer.observer.has_values:
                set_grid(quantizer, quantizer.observer, f"the input of {name}")


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


def _quantize_input(layer: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
    return (layer.input_quantizer(args[0]), *args[1:])
