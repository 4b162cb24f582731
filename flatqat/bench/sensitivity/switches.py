"""A network each of whose layers can be switched to other bits, and back.

What is switched is what `quantize_` puts on a layer: the rounded weight takes the place of the weight, and
the `input_quantizer` that of another. So a switched network computes what a network that was quantized with
these bits does, to the bit.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from flatqat import registry
from flatqat.bench.cell.restore import channels_last_
from flatqat.models.base import Normalized
from flatqat.quant.apply import (
    new_weight_quantizer,
    quantizable,
    quantize_input,
)
from flatqat.quant.base import PERCENTILE, RANGES, Quantizer, RangeInit
from flatqat.quant.fold import fold_, weight_quantizer
from flatqat.quant.grids import set_grid_, set_weight_grid_
from flatqat.quant.observe import Observer
from flatqat.spec import QuantSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """Bits and quantizer of a layer, and what they apply to; the rest is as in the reference."""

    spec: QuantSpec
    what: str = "both"  # or weights, or acts

    @property
    def bits(self) -> str:
        """Bits as text, with what decides their numbers: `4`, `4@apot v2`, or a plugin file by its hash."""
        quantizer = registry.load(registry.QUANTIZERS, self.spec.quantizer)
        file = registry.plugin_file(registry.QUANTIZERS, self.spec.quantizer)
        version = f" v{quantizer.version}" if quantizer.version > 1 else ""
        return f"{self.spec}{version}" + (f" {sha256(file.read_bytes()).hexdigest()[:12]}" if file else "")


Forms = Mapping[str, Form | None]
"""The form of each unit; None, or no entry, for the reference."""


class Switches:
    """The layers of a model, which stays as it was restored (the reference) until one is switched.

    Layers that share a weight are one unit, named after the first: one tensor has one grid.

    Attributes:
        model: The model, in eval mode. Its weights have no parametrizations any more.
        units: The names of the layers of each unit.
    """

    def __init__(self, model: Normalized, ranges: RangeInit = RANGES, percentile: float = PERCENTILE) -> None:
        self.model, self._ranges, self._percentile = model.eval(), ranges, percentile
        fold_(quantizable(model.net))
        if model.amp:
            channels_last_(model)
        self.layers: dict[str, Any] = dict(quantizable(model.net))
        self._reference = {name: layer.weight.detach().clone() for name, layer in self.layers.items()}
        self._device = next(iter(self._reference.values())).device
        sharing: dict[int, list[str]] = {}
        for name, layer in self.layers.items():
            if weight_quantizer(layer) is not None:
                sharing.setdefault(id(layer.parametrizations.weight.original), []).append(name)
                parametrize.remove_parametrizations(layer, "weight", leave_parametrized=False)
            else:
                sharing.setdefault(id(layer.weight), []).append(name)
        self.units = {names[0]: tuple(names) for names in sharing.values()}
        self._latent = {name: layer.weight.detach() for name, layer in self.layers.items()}
        for name, layer in self.layers.items():
            layer.weight = nn.Parameter(self._reference[name], requires_grad=False)
            if not hasattr(layer, "input_quantizer"):
                layer.add_module("input_quantizer", nn.Identity())
                layer.register_forward_pre_hook(quantize_input, with_kwargs=True)
        self._inputs: dict[str, nn.Module] = {n: layer.input_quantizer for n, layer in self.layers.items()}
        self._observers: dict[str, Observer] = {}
        self._made: dict[tuple[str, str, QuantSpec], Quantizer | None] = {}

    @torch.no_grad()
    def observe(self, batches: Iterable[Tensor]) -> None:
        """See the inputs of all layers in a full-precision pass over images (B, 3, H, W) in [0, 1]."""
        watches = {name: _Watch() for name in self.layers}
        for name, layer in self.layers.items():
            layer.weight.data, layer.input_quantizer = self._latent[name], watches[name]
        for images in batches:
            self.model(images)
        self._observers = {name: watch.observer for name, watch in watches.items()}
        self.switch({})

    def switch(self, forms: Forms) -> None:
        """Give every unit its form."""
        for unit in self.units:
            self.set(unit, forms.get(unit))

    @torch.no_grad()
    def set(self, unit: str, form: Form | None) -> None:
        """Give a unit a form. Raises TrainingFailed if a weight or an input has no finite range."""
        for name in self.units[unit]:
            layer, weight, on_input = self.layers[name], self._reference[name], self._inputs[name]
            if form and form.what != "acts":
                rounding = self._weight_quantizer(unit, form.spec)
                weight = self._latent[name] if rounding is None else rounding(self._latent[name])
            if form and form.what != "weights":
                on_input = self._input_quantizer(name, form.spec) or nn.Identity()
            layer.weight.data, layer.input_quantizer = weight, on_input

    def _weight_quantizer(self, unit: str, spec: QuantSpec) -> Quantizer | None:
        key = unit, "weight", replace(spec, act_bits=None)
        if key not in self._made:
            layer, latent = self.layers[unit], self._latent[unit]
            made = new_weight_quantizer(layer, spec)
            if made is not None:
                made.to(self._device)
                set_weight_grid_(made, latent, f"{unit}.weight", self._ranges, self._percentile)
            self._made[key] = made
        return self._made[key]

    def _input_quantizer(self, name: str, spec: QuantSpec) -> Quantizer | None:
        key = name, "input", replace(spec, weight_bits=None)
        if key not in self._made:
            made: Quantizer | None = None
            if spec.act_bits is not None:
                made = registry.load(registry.QUANTIZERS, spec.quantizer)(bits=spec.act_bits, role="input")
                made.to(self._device).eval()
                if (seen := self._observers[name]).has_values:
                    set_grid_(made, seen, f"the input of {name}", self._ranges, self._percentile)
            self._made[key] = made
        return self._made[key]


class _Watch(nn.Module):
    """Takes the place of an input quantizer and observes what it would round."""

    def __init__(self) -> None:
        super().__init__()
        self.observer = Observer(())

    def forward(self, v: Tensor) -> Tensor:
        self.observer.add(v)
        return v
