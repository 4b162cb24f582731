"""How many bits, on which grid, in which layers: a frozen value and its text forms. Standard library only."""

import re
from dataclasses import dataclass, replace

from flatqat.errors import UsageError

_QUANT_TEXT = re.compile(r"(?:(?P<both>[0-9]+)|w(?P<w>[0-9]+)(?:a(?P<a>[0-9]+))?)(?:@(?P<quantizer>[\w-]+))?")
BITS_RANGE = range(2, 9)
FLOAT_BITS = 32  # which stand for floating point in the text forms


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantSpec:
    """How a network is quantized: bits, grid and layers.

    Its text forms are `fp`, `4` (weights and activations), `w4a8`, `w4` or `w4a32` (weights only) and `w32a4`
    (activations only), each with an optional `@quantizer`; for `keep` `layer1.*,fc` or `none`; for
    `layer_bits` `layer1.*=8,layer4.*=w2a4`.

    Attributes:
        weight_bits: Bits of the weights, 2 to 8; None for floating point.
        act_bits: Bits of the activations, 2 to 8; None for floating point.
        quantizer: The name of the quantizer.
        per_channel: Whether every output channel of a weight has a grid of its own.
        keep: Layers kept at 8 bits: `first` and `last` in order of registration, or fnmatch patterns of
            module names.
        layer_bits: Layers with bits of their own as (pattern, bits), which override `keep`; the last
            pattern that matches counts.
    """

    weight_bits: int | None = None
    act_bits: int | None = None
    quantizer: str = "lsq"
    per_channel: bool = True
    keep: tuple[str, ...] = ("first", "last")
    layer_bits: tuple[tuple[str, str], ...] = ()

    @property
    def is_fp(self) -> bool:
        """Whether weights and activations are both in floating point."""
        return self.weight_bits is None and self.act_bits is None

    @property
    def rounds_weights(self) -> bool:
        """Whether the weights of some layer are quantized."""
        return self.weight_bits is not None or any(
            QuantSpec.parse(bits).weight_bits is not None for _, bits in self.layer_bits
        )

    @classmethod
    def parse(cls, text: str, *, keep: str | None = None, layer_bits: str | None = None) -> "QuantSpec":
        """Return the value of text forms, whose layers are ignored for `fp`. Raises UsageError.

        `str`, `keep_text` and `layer_bits_text` return the canonical forms.
        """
        spec = cls._parse_bits(text)
        if spec.is_fp:
            return spec
        if keep is not None:
            spec = replace(spec, keep=_parse_keep(keep))
        if layer_bits is not None:
            spec = replace(spec, layer_bits=_parse_layer_bits(layer_bits))
        return spec

    @classmethod
    def _parse_bits(cls, text: str) -> "QuantSpec":
        if text == "fp":
            return cls()
        match = _QUANT_TEXT.fullmatch(text)
        if match is None:
            expected = "expected fp or such as 4, w4a8, w4a32 (32 is floating point) or 4@lsq"
            raise UsageError(f"bits: {expected}, got {text!r}")
        weight_bits = int(match["both"] or match["w"])
        act_bits = weight_bits if match["both"] else int(match["a"] or FLOAT_BITS)
        for what, bits in (("weights", weight_bits), ("activations", act_bits)):
            if bits not in (*BITS_RANGE, FLOAT_BITS):
                expected = f"expected 2 to 8 bits, or 32 for floating point, for {what}"
                raise UsageError(f"bits: {expected}, got {bits} in {text!r}")
        if weight_bits == act_bits == FLOAT_BITS:
            raise UsageError(f"bits: expected 2 to 8 bits for weights or activations, got {text!r}; use fp")
        return cls(
            weight_bits=None if weight_bits == FLOAT_BITS else weight_bits,
            act_bits=None if act_bits == FLOAT_BITS else act_bits,
            quantizer=match["quantizer"] or "lsq",
        )

    def __str__(self) -> str:
        if self.is_fp:
            return "fp"
        same = self.weight_bits == self.act_bits
        weights, acts = (bits or FLOAT_BITS for bits in (self.weight_bits, self.act_bits))
        bits = str(weights) if same else f"w{weights}a{acts}"
        return bits if self.quantizer == "lsq" else f"{bits}@{self.quantizer}"

    @property
    def keep_text(self) -> str | None:
        """The layers kept at 8 bits as text; None for the first and the last."""
        return None if self.keep == QuantSpec().keep else ",".join(self.keep) or "none"

    @property
    def layer_bits_text(self) -> str | None:
        """The layers with bits of their own as text, or None."""
        return ",".join(f"{pattern}={bits}" for pattern, bits in self.layer_bits) or None


def _parse_keep(text: str) -> tuple[str, ...]:
    patterns = {part.strip() for part in text.split(",") if part.strip()}
    if not patterns or ("none" in patterns and len(patterns) > 1):
        raise UsageError(
            f"--keep: expected patterns of layer names such as first,layer1.*, or none, got {text!r}"
        )
    return tuple(sorted(patterns - {"none"}))


def _parse_layer_bits(text: str) -> tuple[tuple[str, str], ...]:
    pairs = []
    for part in text.split(","):
        pattern, equals, bits = part.strip().rpartition("=")
        if not (pattern and equals and bits) or "@" in bits:
            raise UsageError(
                f"--layer-bits: expected PATTERN=BITS such as layer1.*=w2a4, got {part.strip()!r}"
            )
        pairs.append((pattern, str(QuantSpec.parse(bits))))
    return tuple(pairs)
