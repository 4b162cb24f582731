"""Bits for each layer from what each cost at several bits: the least harm within a budget.

The harm of bits in a layer is the mean divergence of the network's predictions from those of the reference
with that layer alone at these bits. It is measured on images that may choose, and taken as additive over
layers: to second order in small errors of rounding that are independent between layers, it is.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from glob import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flatqat.errors import UsageError
from flatqat.quant.allocate import SOLVERS, harm_of, reachable
from flatqat.quant.apply import by_layer
from flatqat.quant.layer_cost import FLOAT_BITS, LayerCost
from flatqat.spec import QuantSpec
from flatqat.spec.quant import BITS_RANGE

Floats = NDArray[np.float64]
GIGA = 1e9
WORST = 1e3  # in nats, in place of a divergence that is not finite


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What all layers together may cost: `value` billions of bit operations, or bits of the mean weight."""

    kind: str
    value: float

    def of(self, cost: LayerCost, spec: QuantSpec, weights: int) -> float:
        """Return what a layer with these bits takes of the budget; `weights` are those of all layers."""
        weight_bits, act_bits = spec.weight_bits or FLOAT_BITS, spec.act_bits or FLOAT_BITS
        if self.kind == "bops":
            return replace(cost, weight_bits=weight_bits, act_bits=act_bits).bops / GIGA
        return cost.weights * weight_bits / weights


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """Bits of each layer.

    Attributes:
        spec: What `bench run` takes: bits and layer bits.
        by_unit: The bits of each unit.
        harm: The harm that the additive model predicts, in nats.
        cost: What it costs, in units of the budget.
        uniform: The most bits in all layers that cost no more; the ends may have 8.
        uniform_cost: What those cost.
        is_uniform: Whether it gives every layer the bits that uniform ones do.
    """

    spec: QuantSpec
    by_unit: Mapping[str, QuantSpec]
    harm: float
    cost: float
    uniform: QuantSpec
    uniform_cost: float
    is_uniform: bool


class Costs:
    """What layers cost at any bits, in units of a budget; layers of one unit count together."""

    def __init__(
        self, units: Mapping[str, Sequence[str]], layers: Mapping[str, LayerCost], budget: Budget
    ) -> None:
        self.units, self.layers, self.budget = units, layers, budget
        self._weights = max(1, sum(layer.weights for layer in layers.values()))

    def of_unit(self, unit: str, spec: QuantSpec) -> float:
        """Return what a unit costs."""
        return sum(self.budget.of(self.layers[name], spec, self._weights) for name in self.units[unit])

    def of_spec(self, spec: QuantSpec) -> float:
        """Return what a network quantized like this costs."""
        specs = by_layer(list(self.layers), spec)
        return sum(self.budget.of(cost, specs[name], self._weights) for name, cost in self.layers.items())


def cost_matrix(costs: Costs, choices: Sequence[QuantSpec]) -> Floats:
    """Return what each choice costs in each unit, (units, choices).

    Raises UsageError if even the cheapest choices cost more than the budget.
    """
    cost = np.array([[costs.of_unit(unit, spec) for spec in choices] for unit in costs.units])
    low, _ = reachable(cost)
    if costs.budget.value < low * (1 - 1e-9):
        bits = ", ".join(str(spec) for spec in choices)
        expected = f"expected at least {low:.4g}, the least that the choices {bits} can reach"
        fix = "raise it or add lower --choices"
        raise UsageError(f"--{costs.budget.kind}: {expected}, got {costs.budget.value:.4g}; {fix}")
    return cost


def propose(
    costs: Costs,
    choices: Sequence[QuantSpec],
    harm: NDArray[Any],
    *,
    solver: str = "exact",
) -> Proposal:
    """Return the proposal for harms (units, choices, groups of images).

    Raises UsageError if the budget cannot be kept with the choices.
    """
    cost = cost_matrix(costs, choices)
    harm = np.nan_to_num(np.minimum(harm, WORST), nan=WORST)
    chosen = SOLVERS[solver](harm, cost, costs.budget.value)
    by_unit = {unit: choices[choice] for unit, choice in zip(costs.units, chosen, strict=True)}
    uniform = _uniform(costs, choices)
    spec = spec_of(list(costs.layers), costs.units, by_unit)
    return Proposal(
        spec=spec,
        by_unit=by_unit,
        harm=harm_of(harm, chosen),
        cost=float(cost[np.arange(len(chosen)), chosen].sum()),
        uniform=uniform,
        uniform_cost=costs.of_spec(uniform),
        is_uniform=_bits([*costs.layers], spec) == _bits([*costs.layers], uniform),
    )


def spec_of(
    layers: Sequence[str], units: Mapping[str, Sequence[str]], by_unit: Mapping[str, QuantSpec]
) -> QuantSpec:
    """Return the spec that gives each of `layers` the bits of its unit: the most common ones, and others."""
    bits = {name: by_unit[unit] for unit, names in units.items() for name in names}
    common = Counter(bits[name] for name in layers).most_common(1)[0][0]
    ends = {layers[0], layers[-1]}  # kept at 8 bits unless they are named
    own = [(name, bits[name]) for name in layers if bits[name] != common or name in ends]
    return replace(
        common, layer_bits=tuple((_pattern(name), str(spec).partition("@")[0]) for name, spec in own)
    )


def _pattern(layer: str) -> str:
    """Return a pattern that matches a layer of this name alone: `first` and `last` stand for others."""
    return f"[{layer[0]}]{layer[1:]}" if layer in ("first", "last") else escape(layer)


def _bits(layers: Sequence[str], spec: QuantSpec) -> list[tuple[int | None, int | None]]:
    """Return the bits of weights and activations of each layer."""
    return [(one.weight_bits, one.act_bits) for one in by_layer(layers, spec).values()]


def _uniform(costs: Costs, choices: Sequence[QuantSpec]) -> QuantSpec:
    """Return the most bits in all layers within the budget, with ends of 8 bits where these fit, too.

    What has bits is what has them in the choices: weights, activations or both, or one with fixed bits of the
    other. Of two kinds, the one with the larger product of bits has the most.
    """
    plain = dict.fromkeys(_with_bits(choice, bits) for choice in choices for bits in BITS_RANGE)
    most = sorted(plain, key=_size, reverse=True)
    every = [one for spec in most for one in (replace(spec, keep=QuantSpec().keep), replace(spec, keep=()))]
    return next(spec for spec in every if costs.of_spec(spec) <= costs.budget.value * (1 + 1e-9))


def _with_bits(choice: QuantSpec, bits: int) -> QuantSpec:
    """Return a choice with other bits of its weights, or of its activations where only they are rounded."""
    if choice.weight_bits == choice.act_bits:
        return replace(choice, weight_bits=bits, act_bits=bits)
    if choice.weight_bits is None:
        return replace(choice, act_bits=bits)
    return replace(choice, weight_bits=bits)


def _size(spec: QuantSpec) -> tuple[int, int]:
    weight_bits, act_bits = spec.weight_bits or FLOAT_BITS, spec.act_bits or FLOAT_BITS
    return weight_bits * act_bits, min(weight_bits, act_bits)
