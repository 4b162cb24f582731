"""One thing to run, and its identity. Standard library only."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, replace
from typing import Any

from flatqat.spec.quant import QuantSpec

Args = tuple[tuple[str, object], ...]

FIRST_NAMES = {"recipe": "budget", "recipe_args": "budget_args", "step_multiplier": "stretch"}
"""Names of fields in what ids and seeds are hashed from: a field may get a better name, and every stored
cell keeps its id, every run its random numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One thing to run. Its `id` is a hash of every field that is not at its default.

    `step_multiplier` multiplies the recipe's steps, so that methods are compared at equal compute.
    `window` is the sliding window of inference, where there is one.
    """

    suite: str
    suite_version: int
    model: str
    method: str
    quant: str
    recipe: str
    seed: int
    method_args: Args = ()
    method_version: int = 1
    recipe_args: Args = ()
    parent: str | None = None
    weights: str | None = None
    limit: int | None = None
    amp: bool = False
    plugins: str | None = None
    preprocessing: str | None = None
    step_multiplier: int = 1
    keep: str | None = None
    layer_bits: str | None = None
    window: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The fields that differ from their defaults, as plain JSON values."""
        values = ((f, getattr(self, f.name)) for f in fields(self))
        return {
            f.name: dict(value) if f.name.endswith("_args") else value
            for f, value in values
            if f.default is MISSING or value != f.default
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Cell":
        """The inverse of `to_dict`; raises TypeError or ValueError on data of another shape."""
        args = {
            name: tuple(sorted(dict(data.get(name, {})).items())) for name in ("method_args", "recipe_args")
        }
        return cls(**{**data, **args})

    @property
    def id(self) -> str:
        """Twelve hex digits of the SHA-256 of the canonical JSON, under the names that fields had first."""
        return _digest({FIRST_NAMES.get(name, name): value for name, value in self.to_dict().items()})[:12]

    @property
    def training_id(self) -> str:
        """The id of the trained weights: how many images are scored, through which window, is left out."""
        return replace(self, limit=None, window=None).id

    @property
    def quant_spec(self) -> QuantSpec:
        """Bits, grid and layers, read from the cell's texts."""
        return QuantSpec.parse(self.quant, keep=self.keep, layer_bits=self.layer_bits)

    @property
    def bits(self) -> str:
        """For tables: `4`, or `4 (keep none; layer1.*=8)` where layers are not the defaults."""
        layers = [f"keep {self.keep}"] if self.keep else []
        layers += [self.layer_bits] if self.layer_bits else []
        return f"{self.quant} ({'; '.join(layers)})" if layers else self.quant

    @property
    def label(self) -> str:
        """A short name for people and file names: `cifar_resnet20-qat-4-s0-1a2b3c4d5e6f`."""
        quant = "" if self.quant == self.method else f"-{self.quant}"
        return re.sub(r"[^\w.@-]", "_", f"{self.model}-{self.method}{quant}-s{self.seed}-{self.id}")

    def derive_seed(self, purpose: str) -> int:
        """A seed that ignores the method and the bits, so that all methods see the same start and batches."""
        shared = {
            "suite": self.suite,
            "suite_version": self.suite_version,
            "model": self.model,
            FIRST_NAMES["recipe"]: self.recipe,
            "seed": self.seed,
            "purpose": purpose,
        }
        return int(_digest(shared)[:15], 16)


def _digest(value: object) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
