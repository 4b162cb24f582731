"""One thing to run, and its identity. Standard library only."""

import hashlib
import json
import re
from dataclasses import dataclass, replace
from typing import Literal, get_args

from flatqat.spec.quant import QuantSpec
from flatqat.spec.reading import Args, Stored

FIRST_NAMES = {"recipe": "budget", "recipe_args": "budget_args", "step_multiplier": "stretch"}
"""The first names of fields that were renamed. Ids and seeds are hashed from these, so that stored cells keep
their ids and runs their random numbers."""

Adapt = Literal["bn", "bn+steps"]
"""What is adapted to each scored set: BatchNorm statistics alone, or the ranges of inputs, too."""
ADAPTATIONS: tuple[Adapt, ...] = get_args(Adapt)

MOST_BYTES = 230  # of the 255 that file systems allow; endings are added


class _Identified:
    """Keeps an id once it is computed; it is not a field of the dataclass, so not part of its value."""

    __slots__ = ("_id",)
    _id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell(Stored, _Identified):
    """One thing to run. Its `id` is a hash of every field that is not at its default.

    Attributes:
        suite: The suite's name; `family@target` for a member of a family.
        suite_version: The suite's version, which grows when its numbers change.
        model: `source:name`, or the name of a model of flatqat's own.
        method: The method's name.
        quant: The bits as text, such as `4` or `w4a8@apot`; `fp` for floating point.
        recipe: The name of the suite's recipe.
        seed: The seed of everything that is random.
        method_args: The method's settings that are not at their defaults.
        method_version: The method's version, which grows when its numbers change.
        recipe_args: The recipe's settings that are not those of the suite.
        parent: The training id of the cell that it starts from, if any.
        weights: The SHA-256 of the file that it starts from, if any; `#ENTRY` follows where one was chosen.
        limit: The largest number of images that are scored of each shift, if limited.
        amp: Whether forward passes are in bfloat16.
        plugins: A hash of the plugin files that it is made of, if any.
        preprocessing: How the model's source cuts images, where the suite leaves that to it.
        step_multiplier: By how much the recipe's steps are multiplied, to compare at equal compute.
        keep: The layers kept at 8 bits as text; None for the first and the last.
        layer_bits: The layers with bits of their own as text, if any.
        window: The sliding window of inference as text, if any.
        quant_version: The version of its quantization, which grows when its numbers change: the larger one of
            the quantizer's and that of the network's layers.
        adapt: What is adapted to each scored set before it is scored, if anything is.
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
    quant_version: int = 1
    adapt: Adapt | None = None

    @property
    def id(self) -> str:
        """The first twelve hex digits of the SHA-256 of its JSON, with the names that fields had first."""
        try:
            return self._id
        except AttributeError:
            names = {FIRST_NAMES.get(name, name): value for name, value in self.to_dict().items()}
            object.__setattr__(self, "_id", _digest(names)[:12])
            return self._id

    @property
    def training_id(self) -> str:
        """The id of the trained weights, which ignores how they are scored: images, window, adaptation."""
        return replace(self, limit=None, window=None, adapt=None).id

    @property
    def target(self) -> str:
        """The left-out domain of a suite `family@target`; empty for other suites."""
        return self.suite.partition("@")[2]

    @property
    def quant_spec(self) -> QuantSpec:
        """Bits, grid and layers, parsed from the cell's texts."""
        return QuantSpec.parse(self.quant, keep=self.keep, layer_bits=self.layer_bits)

    @property
    def bits(self) -> str:
        """The bits for tables: `4`, `4@apot v2`, or `4 (keep none; layer1.*=8)` with layers of their own."""
        layers = [f"keep {self.keep}"] if self.keep else []
        layers += [self.layer_bits] if self.layer_bits else []
        quant = f"{self.quant} v{self.quant_version}" if self.quant_version > 1 else self.quant
        return f"{quant} ({'; '.join(layers)})" if layers else quant

    def weights_name(self, digits: int) -> str:
        """Return a short name of its start weights: the first digits of their hash, and the file's entry.

        It is empty for a cell without start weights.
        """
        digest, sign, entry = (self.weights or "").partition("#")
        return digest[:digits] + sign + entry

    @property
    def label(self) -> str:
        """A short name for people and file names: `cifar_resnet20-qat-4-s0-1a2b3c4d5e6f`.

        Of one that is too long for a file system the beginning is cut off; the id keeps it unique.
        """
        quant = "" if self.quant == self.method else f"-{self.quant}"
        label = re.sub(r"[^\w.@-]", "_", f"{self.model}-{self.method}{quant}-s{self.seed}-{self.id}")
        short = label.encode()[-MOST_BYTES:].decode(errors="ignore")
        return label if short == label else short.lstrip("._-")  # not a hidden file, nor like an option

    def derive_seed(self, purpose: str) -> int:
        """Return a seed that ignores the method and the bits: all methods get the same start and batches."""
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
