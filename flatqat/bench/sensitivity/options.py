"""What is asked of `flatqat sensitivity`, checked before anything is computed. Imports no torch."""

import re
from dataclasses import dataclass, replace

from flatqat import registry
from flatqat.errors import UsageError, choose, choose_all
from flatqat.spec import QuantSpec
from flatqat.spec.quant import FLOAT_BITS

MODES = ("one", "all-but-one")
WHATS = ("weights", "acts", "both")
CHOOSE_ON = ("clean", "held-apart", "worst-family")
SOLVERS = ("exact", "greedy")
LOWEST = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What is measured, and what bits are chosen by.

    Attributes:
        bits: The lower bits as text; None for 4, or one bit fewer than a quantized cell has.
        modes: One layer at lower bits, or all but one.
        whats: Weights, activations or both.
        families: Families of shifts to report; empty for all.
        shifts: Names or patterns of shifts to report; empty for one of each family.
        layers: Patterns of layers to measure; empty for all.
        limit: The most images of a reported set, and of all sets that choose together.
        seed: Decides which images are drawn.
        bops: A budget in billions of bit operations, or `4-bit`.
        average_bits: A budget for the mean bits of the weights.
        choices: The bits that a proposal may give a layer.
        choose_on: The images that choose.
        solver: How the proposal is found.
        check: Whether the proposal is compared with uniform bits on the reported images.
    """

    bits: str | None = None
    modes: tuple[str, ...] = ("one",)
    whats: tuple[str, ...] = ("both",)
    families: tuple[str, ...] = ()
    shifts: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()
    limit: int = 200
    seed: int = 0
    bops: str | None = None
    average_bits: float | None = None
    choices: tuple[str, ...] = ("8", "6", "5", "4", "3")
    choose_on: str = "clean"
    solver: str = "exact"
    check: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "modes", choose_all("value of --mode", self.modes, MODES))
        object.__setattr__(self, "whats", choose_all("value of --what", self.whats, WHATS))
        if self.choose_on not in CHOOSE_ON:
            raise UsageError(
                f"--choose-on: expected one of {', '.join(CHOOSE_ON)}, got {self.choose_on!r}; what a suite "
                "scores never chooses bits"
            )
        choose("value of --solver", self.solver, SOLVERS)
        budget = parse_budget(self.bops, self.average_bits)
        if budget and self.layers:
            raise UsageError("--layers: a proposal needs all layers; leave it out, or the budget")
        for text in (*([self.bits] if self.bits else []), *self.choices):
            if QuantSpec.parse(text).is_fp:
                raise UsageError(f"bits: expected lower bits such as 4 or w4a8, got {text!r}")

    @property
    def budget(self) -> tuple[str, float | QuantSpec] | None:
        """The kind of the budget, and its value or the uniform bits that are to cost as much."""
        return parse_budget(self.bops, self.average_bits)

    def lower(self, own: QuantSpec) -> QuantSpec:
        """Return the lower bits for a cell with the bits `own`.

        Raises UsageError if the bits are not lower, or if no lower bits exist.
        """
        if self.bits is not None:
            spec = spec_of(self.bits, own.quantizer)
            self._check_lower(spec, own)
            return spec
        if own.is_fp:
            return QuantSpec.parse("4")
        weights, acts = (bits and bits - 1 for bits in (own.weight_bits, own.act_bits))
        if min(bits for bits in (weights, acts) if bits) < LOWEST:
            raise UsageError(f"--bits: expected lower bits than {own}, got none, and there are no lower ones")
        return replace(own, weight_bits=weights, act_bits=acts, keep=(), layer_bits=())

    def _check_lower(self, spec: QuantSpec, own: QuantSpec) -> None:
        """Raise UsageError unless some of the bits that are switched are lower, and none higher."""
        change = {
            "weights": (spec.weight_bits or FLOAT_BITS) - (own.weight_bits or FLOAT_BITS),
            "acts": (spec.act_bits or FLOAT_BITS) - (own.act_bits or FLOAT_BITS),
        }
        for what in self.whats:
            changes = change.values() if what == "both" else [change[what]]
            if max(changes) > 0 or min(changes) == 0:
                of = "" if what == "both" else f" for {what}"
                fix = "choose fewer, or leave it out for one fewer"
                raise UsageError(f"--bits: expected lower bits than the cell's {own}{of}, got {spec}; {fix}")

    def chosen_from(self, own: QuantSpec) -> list[QuantSpec]:
        """Return the choices, each once, for a cell of some bits. Raises UsageError on several quantizers."""
        specs = list(dict.fromkeys(spec_of(text, own.quantizer) for text in self.choices))
        if len(names := sorted({spec.quantizer for spec in specs})) > 1:
            raise UsageError(
                f"--choices: expected bits of one quantizer, which all layers of a cell share, got "
                f"{' and '.join(names)}; name one of them in each choice, as in 4@{names[0]}"
            )
        return specs


def spec_of(text: str, quantizer: str) -> QuantSpec:
    """Return the bits of a text, by this quantizer unless it names one. Raises UsageError."""
    spec = QuantSpec.parse(text)
    spec = replace(spec, quantizer=spec.quantizer if "@" in text else quantizer, keep=())
    registry.load(registry.QUANTIZERS, spec.quantizer)
    return spec


def parse_budget(bops: str | None, average_bits: float | None) -> tuple[str, float | QuantSpec] | None:
    """Return the kind of the budget, and its value or the uniform bits that it is to cost as much as.

    Raises UsageError on two budgets or on a text that is none.
    """
    if bops is not None and average_bits is not None:
        raise UsageError("--bops and --average-bits are both a budget; leave one of them out")
    if average_bits is not None:
        if average_bits <= 0:
            raise UsageError(f"--average-bits: expected a number above 0, got {average_bits:g}")
        return "average-bits", average_bits
    if bops is None:
        return None
    if match := re.fullmatch(r"(w?\d+(?:a\d+)?)-bit", bops):
        return "bops", QuantSpec.parse(match[1])
    try:
        value = float(bops)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        expected = "expected GBOPs (1e9 bit operations) such as 8.5, or those of uniform bits such as 4-bit"
        raise UsageError(f"--bops: {expected}, got {bops!r}")
    return "bops", value
