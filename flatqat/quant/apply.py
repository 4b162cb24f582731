"""Put quantizers on a model: weights by parametrization, inputs by a forward pre-hook.

Any model works and `isinstance(layer, nn.Conv2d)` still holds. Never deepcopy a quantized model (the copy
shares the injected class): build a second one and load its state instead.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
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
    """All modules by name, in order of registration, but for heads that are marked `training_only`."""
    found, skipped = {}, []
    for name, module in model.named_modules():
        if getattr(module, "training_only", False):
            skipped.append(f"{name}.")
        elif not name.startswith(tuple(skipped)):
            found[name] = module
    return found


def quantizable(model: nn.Module) -> dict[str, nn.Module]:
    """The layers that get quantizers, by name, in order of registration: those that inference runs."""
    return {name: layer for name, layer in in_inference(model).items() if isinstance(layer, LAYERS)}


def quantize_(model: nn.Module, spec: QuantSpec) -> None:
    """Give every convolution and linear layer its quantizers, in place. The scales wait for `calibrate`.

    Heads that only training runs stay in floating point: they are no part of what is deployed.

    Raises UsageError when a pattern of the spec matches no layer, or the model has no such layer.
    """
    if spec.is_fp:
        return
    layers = quantizable(model)
    if not layers:
        raise UsageError(
            f"{type(model).__name__}: expected convolution or linear layers to quantize, got none"
        )
    for name, chosen in by_layer(list(layers), spec).items():
        layer = layers[name]
        quantizer: type[Quantizer] = registry.load(registry.QUANTIZERS, chosen.quantizer)
        if chosen.weight_bits is not None:
            weight = layer.weight
            assert isinstance(weight, Tensor)
            per_channel = spec.per_channel and quantizer.per_channel
            shape = (len(weight), *[1] * (weight.ndim - 1)) if per_channel else ()
            on_weight = quantizer(bits=chosen.weight_bits, role="weight", scale_shape=shape)
            parametrize.register_parametrization(layer, "weight", on_weight.to(weight.device))
        if chosen.act_bits is not None:
            on_input = quantizer(bits=chosen.act_bits, role="input").to(next(layer.parameters()).device)
            layer.add_module("input_quantizer", on_input)
            layer.register_forward_pre_hook(_quantize_input)


def by_layer(names: Sequence[str], spec: QuantSpec) -> dict[str, QuantSpec]:
    """The bits and the quantizer of every layer: those of the spec, 8 bits where it is kept, or its own.

    `first` and `last` are the ends in order of registration, other patterns are fnmatch patterns of names.
    A layer of `layer_bits` is not kept, and the last pattern that matches it counts. Raises UsageError.
    """
    quantizer = registry.load(registry.QUANTIZERS, spec.quantizer)
    found = dict.fromkeys(names, spec)
    kept = replace(
        spec,
        weight_bits=spec.weight_bits and max(KEPT_BITS, spec.weight_bits),
        act_bits=spec.act_bits and max(KEPT_BITS, spec.act_bits),
        quantizer=quantizer.edge_quantizer or spec.quantizer,
    )
    for pattern in spec.keep:
        found |= dict.fromkeys(_matching(names, pattern, "keep"), kept)
    for pattern, bits in spec.layer_bits:
        own = replace(QuantSpec.parse(bits), quantizer=spec.quantizer)
        found |= dict.fromkeys(_matching(names, pattern, "layer-bits"), own)
    return found


def _matching(names: Sequence[str], pattern: str, option: str) -> list[str]:
    ends = {"first": names[:1], "last": names[-1:]}
    matched = list(ends.get(pattern, [name for name in names if fnmatch(name, pattern)]))
    if not matched:
        raise unknown(f"layer of --{option}", pattern, [*ends, *names])
    return matched


def quantizers(model: nn.Module) -> Iterator[tuple[str, Quantizer]]:
    """(name of the layer, quantizer) for every quantizer, weights and inputs alike."""
    for name, module in model.named_modules():
        if isinstance(module, Quantizer):
            yield name.split(".parametrizations.")[0].removesuffix(".input_quantizer"), module


def latent_weights(model: nn.Module) -> dict[str, tuple[Tensor, Quantizer]]:
    """Each quantized weight's latent parameter and quantizer, by the parameter's name in the model."""
    found = {}
    for name, module in model.named_modules():
        if isinstance(module, parametrize.ParametrizationList) and isinstance(module[0], Quantizer):
            found[f"{name}.original"] = (module.original, module[0])
    return found


@torch.no_grad()
def calibrate(
    model: nn.Module, batches: Iterable[Tensor], rule: RangeInit = "own", percentile: float = 99.9
) -> None:
    """Set every grid: weights from themselves, inputs from a full-precision pass over `batches`.

    For the rules see `Quantizer.calibrate`. Without quantizers nothing is run. Raises TrainingFailed when a
    tensor has no finite range.
    """
    for name, (weight, quantizer) in latent_weights(model).items():
        seen = Observer(tuple(quantizer.scale.shape), whole=True)
        seen.add(weight)
        _check_finite(seen, name)
        quantizer.calibrate(seen, rule, percentile)
    inputs = {name: quantizer for name, quantizer in quantizers(model) if quantizer.role == "input"}
    if not inputs:
        return
    training = model.training
    model.eval()
    for quantizer in inputs.values():
        quantizer.observer = Observer(tuple(quantizer.scale.shape))
    try:
        with disabled(model, roles=("weight",)):
            for images in batches:
                model(images)
        for name, quantizer in inputs.items():
            if quantizer.observer is not None and quantizer.observer.seen_any:
                _check_finite(quantizer.observer, f"the input of {name}")
                quantizer.calibrate(quantizer.observer, rule, percentile)
    finally:
        for quantizer in inputs.values():
            quantizer.observer = None
        model.train(training)


def _check_finite(seen: Observer, what: str) -> None:
    if not bool((seen.low.isfinite() & seen.high.isfinite()).all()):
        raise TrainingFailed(
            f"{what}: expected finite values to calibrate on, got NaN or infinity; "
            "check the weights that it starts from"
        )


@contextmanager
def disabled(model: nn.Module, roles: tuple[str, ...] = ("weight", "input")) -> Iterator[None]:
    """Let the quantizers of these roles pass their tensors through, for the time of the context."""
    changed = [q for _, q in quantizers(model) if q.role in roles and q.enabled]
    for quantizer in changed:
        quantizer.enabled = False
    try:
        yield
    finally:
        for quantizer in changed:
            quantizer.enabled = True


@contextmanager
def ste_gradients(model: nn.Module) -> Iterator[None]:
    """Use plain straight-through gradients in every quantizer, so that derivatives are those of the loss.

    Factors on the gradients of step sizes are dropped, and a backward that is not a gradient
    (`custom_backward`) is replaced by the straight-through rule: a Hessian must be symmetric.
    """
    changed = [q for _, q in quantizers(model) if not q.ste_only]
    for quantizer in changed:
        quantizer.ste_only = True
    try:
        yield
    finally:
        for quantizer in changed:
            quantizer.ste_only = False


def cached_weights() -> Any:
    """A context in which each weight is quantized at its first use and kept: for inference only."""
    return parametrize.cached()


def _quantize_input(layer: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
    quantizer = layer.input_quantizer
    assert isinstance(quantizer, Quantizer)
    return (quantizer(args[0]), *args[1:])
