"""How the numbers of a cell were made. Standard library only."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from flatqat.spec.environment import Environment
from flatqat.spec.quant import QuantSpec
from flatqat.spec.reading import Stored
from flatqat.spec.recipe import Recipe
from flatqat.spec.shared import SHARED


@dataclass(frozen=True, slots=True, kw_only=True)
class ShiftInfo(Stored):
    """What tables need to know of one shift.

    Attributes:
        family: The name under which shifts are averaged together, such as `noise`.
        severity: 1 to 5, or None for a shift without severities.
        image_set: Shifts of one image set show the same images in the same order.
        in_mean: Whether the shift counts in the mean over shifts.
        weights: Which weights were scored: those selected on `val`, or those of the last step.
    """

    family: str
    severity: int | None
    image_set: str
    in_mean: bool
    weights: Literal["selected", "last"] = "selected"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoringLog(Stored):
    """How a set was scored, where it was not in the usual way.

    Attributes:
        batch: The number of images in a batch, where memory lacked for as many as usual; else 0.
        not_repeatable: Operators without an algorithm that repeats on the device.
        env: Where it was scored, if not where the record says.
    """

    batch: int = 0
    not_repeatable: tuple[str, ...] = ()
    env: Annotated[Environment | None, SHARED] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol(Stored):
    """Everything about how the numbers were made that is not in the cell's own names.

    Attributes:
        suite: The suite's protocol in words.
        data: The fingerprint of the data on disk.
        reference: Whether the method is the one that every other is compared with.
        parent: What training started from: the label of another cell, the name of a file, random weights.
        recipe: The recipe with all settings; its steps are those that were taken.
        quant: Bits, grid and layers.
        method: Every setting of the method.
        shifts: The scored sets by name, `id` and `val` among them.
        metric: The suite's metric, `top1` or `miou`.
        class_names: The names of the classes, where the suite has them.
        preprocessing: How the model's source cuts images, where the suite leaves that to it.
        window: The sliding window of inference and its strides, as text.
        adapt: How the network was adapted to each scored set, in words; empty if it was not.
        normalizer: The constants that mCE is in units of, such as `alexnet`.
        baseline: The line of standard models that effective robustness is measured from.
        split: Names the split where the seed decides which images train and which are scored.
        targets: The left-out domains of the suite's family, in its order.
        made_with: What the images come from besides the data on disk.
        in_part: Which parts of the data were incomplete, in words.
        scoring: How sets were scored, by name, where it was not in the usual way.
    """

    suite: str
    data: str
    reference: bool
    parent: str
    recipe: Annotated[Recipe, SHARED]
    quant: Annotated[QuantSpec, SHARED]
    method: Mapping[str, Any]
    shifts: Annotated[Mapping[str, ShiftInfo], SHARED]
    metric: str = "top1"
    class_names: tuple[str, ...] = ()
    preprocessing: str = ""
    window: str = ""
    adapt: str = ""
    normalizer: str = ""
    baseline: str = ""
    split: str = ""
    targets: tuple[str, ...] = ()
    made_with: str = ""
    in_part: tuple[str, ...] = ()
    scoring: Mapping[str, ScoringLog] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainLog(Stored):
    """What happened in training.

    Attributes:
        steps: Training steps that were taken.
        last_loss: The training loss at the last step, or None if there was none.
        seconds: Wall-clock time of training.
        audit: Tensors that compute quantized, those left in floating point, and codes in use by bit-width.
        method: What the method reports of itself.
        selection: The chosen step and the `val` score of each step looked at; empty without selection.
        compiled: Whether its steps were compiled by `torch.compile`, which changes last digits.
        processes: How many processes shared its batches (`--distributed`), which changes last digits.
        not_repeatable: Operators without an algorithm that repeats on the device.
        env: Where it was trained, if not where the record says; of processes that shared batches, the first.
        weights: The SHA-256 of the weights that are deployed, with their names; empty in older records.
    """

    steps: int
    last_loss: float | None
    seconds: float
    audit: Mapping[str, Any] = field(default_factory=dict)
    method: Mapping[str, Any] = field(default_factory=dict)
    selection: Mapping[str, Any] = field(default_factory=dict)
    compiled: bool = False
    processes: int = 1
    not_repeatable: tuple[str, ...] = ()
    env: Annotated[Environment | None, SHARED] = None
    weights: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteData(Stored):
    """What a suite's results are made from: the data's fingerprint, and which parts were incomplete."""

    fingerprint: str
    in_part: tuple[str, ...] = ()
