"""Suites and shifts. Importing this module imports no torch."""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from flatqat import registry
from flatqat.blame import asked, blaming
from flatqat.data.images.checks import run_check
from flatqat.errors import PluginError, listed
from flatqat.finding import Finding
from flatqat.kinds import kinds_of_fields, misfit, shown
from flatqat.spec import EvalTransform, Recipe, ShiftInfo

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from flatqat.data.tensors.image_data import ImageData, Transform

LATE = ("Generator", "Tensor", "ImageData", "Transform")  # imported by type checkers alone
NAME = re.compile(r"(?!.{101})[A-Za-z0-9][\w.+-]*(/[\w.+-]+)*", re.ASCII)  # of shifts: files are called by it


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """One test set: the in-distribution one (`id`) or a shifted one (`gaussian_noise/3`).

    Attributes:
        name: The shift's name in tables and records.
        family: The group of shifts that it belongs to, such as `noise`.
        build: Loads its images from the data root.
        severity: How severe it is within its family, if it has levels.
        image_set: The name of its images. Shifts with the same name contain the same images in the same
            order, so that their differences are paired image by image.
        in_mean: Whether it counts in the mean over shifts.
        class_subset: The classes of a dataset that has fewer than the suite. All other logits are masked, and
            `top1_unmasked` is reported beside `top1`.
        groups: Groups of the suite's classes, each of which is a class of a dataset with coarser labels. A
            group's probability is the mean of its members', scaled so that all groups add up to 1. Labels of
            images are positions of groups.
        weights: Which weights of a training run are scored: those selected on `val`, or the last ones.
    """

    name: str
    family: str
    build: "Callable[[Path | None], ImageData]"
    severity: int | None = None
    image_set: str = "id"
    in_mean: bool = True
    class_subset: tuple[int, ...] | None = None
    groups: tuple[tuple[int, ...], ...] | None = None
    weights: Literal["selected", "last"] = "selected"

    def __post_init__(self) -> None:
        """Raise PluginError on a field of a wrong kind and on a name that no file can have."""
        if wrong := misfit(self, kinds_of_fields(Shift, LATE)):
            raise PluginError(f"shift {shown(self.name)}: expected {wrong}")
        if not NAME.fullmatch(self.name):
            allowed = "a name of up to 100 ASCII letters, digits, _, -, +, . and /, such as fog/3"
            raise PluginError(f"shift: expected {allowed}, got {shown(self.name)}")

    @property
    def info(self) -> ShiftInfo:
        """What records say of it."""
        return ShiftInfo(
            family=self.family,
            severity=self.severity,
            image_set=self.image_set,
            in_mean=self.in_mean,
            weights=self.weights,
        )


def _trainable(root: Path | None) -> str:
    return ""


def _complete(root: Path | None) -> frozenset[str]:
    return frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """An in-distribution (ID) dataset and its shifts.

    Attributes:
        name: What the suite is called by.
        version: Rises whenever numbers change; results of two versions never share a table.
        title: The name in headings.
        task: `classification` or `segmentation`.
        classes: The number of classes.
        metric: The name of the score, such as `top1` or `miou`.
        default_model: The model that `bench run` uses without `--model`.
        protocol: What was done to the data, printed beside every number.
        layout: The files that the suite expects below the data root; begins with `nothing on disk` if none.
        train: Loads the ID images for training from the data root.
        val: Loads the ID images for selection, the only ones that may select anything.
        shifts: The test sets, `id` first.
        recipes: Training recipes by name; the first one is the default.
        verify: Checks the data on disk within seconds.
        augment: Augments a batch of training images (B, 3, H, W) in [0, 1].
        new_head: Whether models start from weights for other classes, with a new last layer.
        sizes_vary: Whether images have no common size, so that each model's own transform is used.
        eval_transform: The transform of all models alike, in place of their own.
        train_transform: Returns a random transform of training images for an evaluation transform and a seed.
        fixed_transform: The transform of training images for calibration, BatchNorm and flatness, where
            nothing may be random, if it is not the evaluation transform.
        class_names: The names of the classes, in order.
        untrainable_reason: Says why nothing can be trained on what is on disk, else returns an empty text. If
            there is a reason the recipe `eval` is used, and `train` loads ID images for calibration.
        missing_shifts: Names shifts that are not on disk. They must not be in the mean, and are left out.
        made_with: Names what images are made from besides the data on disk, for records and fingerprints.
            Raises DataError if that is missing.
        targets: The members of a family: the domains that are left out in turn. Every member has them too.
        member: Returns the member `family@target` for a target and a seed.
        split: A text that differs between seeds if the seed decides which images train and which are scored;
            otherwise empty.
        normalizer: The constants of mCE, see `flatqat.metrics`.
        baseline: The constants of effective robustness, see `flatqat.metrics`.
        corruptible: Loads the clean images from a folder, with the file names of their corrupted copies, for
            `suites generate`.
    """

    name: str
    version: int
    title: str
    task: str
    classes: int
    metric: str
    default_model: str
    protocol: str
    layout: str
    train: "Callable[[Path | None], ImageData]"
    val: "Callable[[Path | None], ImageData]"
    shifts: tuple[Shift, ...]
    recipes: Mapping[str, Recipe]
    verify: Callable[[Path | None], list[Finding]]
    augment: "Callable[[Tensor, Generator], Tensor] | None" = None
    new_head: bool = False
    sizes_vary: bool = False
    eval_transform: "EvalTransform | None" = None
    train_transform: "Callable[[EvalTransform, int], Transform] | None" = None
    fixed_transform: "Transform | None" = None
    class_names: tuple[str, ...] = ()
    untrainable_reason: Callable[[Path | None], str] = _trainable
    missing_shifts: Callable[[Path | None], frozenset[str]] = _complete
    made_with: Callable[[], str] = str  # returns an empty text
    targets: tuple[str, ...] = ()
    member: "Callable[[str, int], Suite] | None" = None
    split: str = ""
    normalizer: str | None = None
    baseline: str | None = None
    corruptible: "Callable[[Path], tuple[ImageData, list[str]]] | None" = None

    def __post_init__(self) -> None:
        """Raise PluginError, or UsageError on an unknown task, for what no cell could be scored with."""
        from flatqat.metrics.effective_robustness import LINES
        from flatqat.metrics.mce import NORMALIZERS
        from flatqat.metrics.task import task_of

        if wrong := misfit(self, kinds_of_fields(Suite, LATE)):
            raise PluginError(f"suite {shown(self.name)}: expected {wrong}")
        names, metric = [shift.name for shift in self.scored], task_of(self.task).metric.name
        repeated = [name for name in dict.fromkeys(names) if names.count(name) > 1]
        if names[1:2] != ["id"]:
            self._expect("'id' as the first shift", listed(names[1:2], empty="no shift"))
        if repeated:
            self._expect("a name of its own for each shift and 'val'", f"{listed(repeated)} more than once")
        if not self.recipes:
            self._expect("at least one recipe", "none")
        if self.metric != metric:
            self._expect(f"the metric {metric!r} for {self.task}", repr(self.metric))
        if self.class_names and len(self.class_names) != self.classes:
            self._expect(f"a class name for each of {self.classes} classes", str(len(self.class_names)))
        for what, name, constants in (
            ("normalizer", self.normalizer, NORMALIZERS),
            ("baseline", self.baseline, LINES),
        ):
            if name and (name not in constants or metric != "top1"):
                which = f"one of {listed(sorted(constants))}" if metric == "top1" else f"none for {self.task}"
                self._expect(f"{which} as {what}", shown(name))
        for shift in self.shifts:
            self._check_classes(shift)

    def _check_classes(self, shift: Shift) -> None:
        groups = shift.groups or ()
        members = [label for group in groups for label in group]
        if not all(groups):
            self._expect(f"groups with members in {shift.name}", "an empty one")
        if len(set(members)) < len(members):
            self._expect(f"disjoint groups in {shift.name}", "a shared class")
        for what, labels in (("groups", members), ("class_subset", shift.class_subset or ())):
            if not all(0 <= label < self.classes for label in labels):
                self._expect(f"classes from 0 to {self.classes - 1} in the {what} of {shift.name}", "others")

    def _expect(self, expected: str, got: str) -> NoReturn:
        raise PluginError(f"suite {self.name}: expected {expected}, got {got}")

    @property
    def family(self) -> str:
        """The suite's name without the target: `pacs` for `pacs@sketch`."""
        return self.name.partition("@")[0]

    @property
    def key(self) -> str:
        """The name of the suite's data: members whose split depends on the seed differ."""
        return f"{self.name}{self.split}"

    @property
    def scored(self) -> tuple[Shift, ...]:
        """What every model is scored on: `val`, then all shifts."""
        val = Shift(name="val", family="val", build=self.val, image_set="val", in_mean=False)
        return (val, *self.shifts)

    @property
    def default_recipe(self) -> str:
        """The name of the first recipe."""
        return next(iter(self.recipes))

    @property
    def needs_data(self) -> bool:
        """Whether it has files below the data root."""
        return not self.layout.startswith("nothing on disk")

    def findings(self, root: Path | None) -> list[Finding]:
        """Return what is wrong or right with the data on disk, and with what else images are made from.

        Raises PluginError if the suite is a plugin whose code fails.
        """
        with blaming(registry.SUITES, self.family, "findings of made_with"):
            made = run_check(self.made_with)
        findings = self._asked("findings of verify", Collection[Finding], self.verify, root)
        return [*findings, *([made] if made.what else [])]

    def lacks(self, root: Path | None) -> str:
        """Return why nothing can be trained on what is on disk; an empty text if something can.

        Raises PluginError if the suite is a plugin whose code fails.
        """
        return str(self._asked("a text from untrainable_reason", str, self.untrainable_reason, root))

    def _asked(self, expected: str, of: Any, hook: Callable[..., Any], *args: Any) -> Any:
        return asked(registry.SUITES, self.family, expected, of, hook, *args)

    def on_disk(self, root: Path | None) -> "Suite":
        """Return the suite without its `missing_shifts`, or itself if there are none."""
        missing = self._asked("names from missing_shifts", Collection[str], self.missing_shifts, root)
        shifts = tuple(shift for shift in self.shifts if shift.in_mean or shift.name not in missing)
        return replace(self, shifts=shifts) if len(shifts) < len(self.shifts) else self
