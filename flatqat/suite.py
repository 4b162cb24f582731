"""What a suite is: an in-distribution set with its shifts, and what verifying finds. No imports of weight."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from flatqat.finding import Finding
from flatqat.spec import EvalTransform, Recipe

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from flatqat.data.images.image_data import ImageData, Transform


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """One test set: the in-distribution one (`id`) or a shifted one (`gaussian_noise/3`).

    `pool` names the images: shifts of one pool show the same images in the same order, so their
    differences are paired image by image. A shift with `headline=False` is reported, but stays out of the
    mean over shifts. `only` names the classes that a set of fewer classes has: logits of all others are
    masked, and `top1_unmasked` is reported beside `top1`. `weights` says which of a training run's weights
    are scored: those selected on `val`, or the last ones.
    """

    name: str
    family: str
    build: "Callable[[Path | None], ImageData]"
    severity: int | None = None
    image_set: str = "id"
    in_mean: bool = True
    class_subset: tuple[int, ...] | None = None
    weights: Literal["selected", "last"] = "selected"


def _trainable(root: Path | None) -> str:
    return ""


def _data_alone() -> str:
    return ""


def _complete(root: Path | None) -> frozenset[str]:
    return frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """An ID set and its shifts. `train` and `val` are ID only: nothing else may select anything.

    Images that have no common size of their own (`framed`) are cut as the model's source asks for, or by the
    suite's own `frame` for all models alike; in training `view(frame, seed)` cuts them at random instead.
    `augment` acts on whole batches after that. `still` is the view of training images where nothing may be
    random (calibration, BatchNorm, flatness), if it is not the cut.
    `untrainable(root)` says why nothing can be trained on what lies on disk; the recipe `eval` is used then,
    and `train` gives the ID images that grids are calibrated on. `absent(root)` names shifts outside of the
    headline that are not on disk: they are left out.

    `made_with()` names what the images come from besides the data on disk: it stands in every record, and in
    the fingerprint that ties a results folder to its data.

    With `new_head` models start from weights made for other classes, and their last layer is drawn anew.

    A family of suites, one for each left-out domain, has `targets`; `member(target, seed)` is one of them,
    called `family@target`, and a member knows the `targets` of its family too. Where the seed decides which
    images train and which are scored, `split` says so: it is not empty, and differs from seed to seed.
    `corruptible(folder)` gives the clean images of which `suites generate` makes the suite's corrupted ones,
    and the names of their files. `normalizer` and `baseline` name the constants of mCE and of effective
    robustness, see `flatqat.metrics`.
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
    made_with: Callable[[], str] = _data_alone
    targets: tuple[str, ...] = ()
    member: "Callable[[str, int], Suite] | None" = None
    split: str = ""
    normalizer: str | None = None
    baseline: str | None = None
    corruptible: "Callable[[Path], tuple[ImageData, list[str]]] | None" = None

    @property
    def family(self) -> str:
        """The name without the left-out domain: `pacs` of `pacs@sketch`."""
        return self.name.partition("@")[0]

    @property
    def key(self) -> str:
        """The name of the suite's data: members whose split depends on the seed differ."""
        return f"{self.name}{self.split}"

    @property
    def scored(self) -> tuple[Shift, ...]:
        """What every model is scored on: `val`, which alone may select anything, then all shifts."""
        val = Shift(name="val", family="val", build=self.val, image_set="val", in_mean=False)
        return (val, *self.shifts)

    @property
    def default_recipe(self) -> str:
        return next(iter(self.recipes))

    def on_disk(self, root: Path | None) -> "Suite":
        """The suite without the shifts that are `absent`; itself where there are none."""
        gone = self.missing_shifts(root)
        kept = tuple(shift for shift in self.shifts if shift.in_mean or shift.name not in gone)
        return replace(self, shifts=kept) if len(kept) < len(self.shifts) else self
