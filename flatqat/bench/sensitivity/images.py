"""The image sets of a sensitivity analysis: one reports results, a disjoint one chooses bits.

Bits may only be chosen on images of the training distribution: on `val`, as it is or under the four
corruptions that ImageNet-C sets apart for development (`extra`). No shift of the suite is ever built for it,
and none of its images is seen: the ID images of a suite without other images for selection are split
in two halves, one of which chooses while the other is reported.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from flatqat.data.corruptions.apply import corrupt
from flatqat.data.corruptions.names import NAMES, Table
from flatqat.data.images.views import eval_crop
from flatqat.data.tensors.image_data import ImageData
from flatqat.errors import UsageError
from flatqat.spec import EvalTransform
from flatqat.suite import Shift, Suite

HELD_APART = tuple(name for name, family in NAMES.items() if family == "extra")
SEVERITY = 3
LARGE = 64  # pixels of the shorter side, from which the constants of ImageNet-C are used


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSet:
    """Some images of one shift.

    `family` groups sets in tables; `image_set` is the same for sets of the same images; `class_subset`
    and `groups` are those of the shift.
    """

    name: str
    family: str
    image_set: str
    data: ImageData
    class_subset: tuple[int, ...] | None = None
    groups: tuple[tuple[int, ...], ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnImages:
    """Draws images from a suite.

    Attributes:
        suite: The suite.
        root: The data root.
        view: How the model wants images without a common size cut.
        limit: The most images of a set that is reported, and of all sets that choose together.
        seed: Decides which images are drawn, and how they are split.
    """

    suite: Suite
    root: Path | None
    view: EvalTransform
    limit: int
    seed: int

    @property
    def splits(self) -> bool:
        """Whether the ID images are split, since `val` would be some of them.

        That is so without training images, and in suites of domains, whose ID images also choose the step.
        """
        return self.suite.val == self._id.build or bool(self.suite.lacks(self.root))

    @property
    def _id(self) -> Shift:
        return next(shift for shift in self.suite.shifts if shift.name == "id")

    def reported(self, shifts: Sequence[Shift]) -> list[ImageSet]:
        """Return the reported images of shifts, `id` among them."""
        return [
            ImageSet(
                name=shift.name,
                family=shift.family,
                image_set=shift.image_set,
                data=self._drawn(shift.build(self.root), self.splits and shift.image_set == "id", half=1),
                class_subset=shift.class_subset,
                groups=shift.groups,
            )
            for shift in shifts
        ]

    def choosing(self, choose_on: str) -> list[ImageSet]:
        """Return images to choose bits on: as they are, or under the held-out corruptions, or both.

        Raises UsageError if a shift of the suite's mean is a corruption that is otherwise held out.
        """
        names = () if choose_on == "clean" else HELD_APART
        headline = {shift.name.partition("/")[0] for shift in self.suite.shifts if shift.in_mean}
        if both := sorted(headline & {*names}):
            expected = "expected corruptions that the suite does not count in its mean"
            raise UsageError(f"--choose-on {choose_on}: {expected}, got {', '.join(both)}; use clean")
        count = len(names) + (choose_on != "held-apart")
        source = self._id.build(self.root) if self.splits else self.suite.val(self.root)
        clean = self._drawn(source, self.splits, half=0, limit=max(2, self.limit // count))
        side = min(clean.fetch(torch.arange(1)).shape[-2:])
        table: Table = "imagenet" if side >= LARGE else "cifar"
        found = {} if choose_on == "held-apart" else {"val": clean}
        for name in names:
            found[f"val {name}/{SEVERITY}"] = clean.map(
                partial(corrupt, name=name, severity=SEVERITY, table=table)
            )
        groups = self._id.groups if self.splits else None  # which decide what labels mean
        return [
            ImageSet(name=name, family=name, image_set="val", data=data, groups=groups)
            for name, data in found.items()
        ]

    def _drawn(self, data: ImageData, split: bool, *, half: int, limit: int | None = None) -> ImageData:
        """Return at most `limit` images, in order, of all or of one half of them; cut as the model asks."""
        data = data.transformed(eval_crop(self.view)) if data.through_transform else data
        order = torch.randperm(len(data), generator=torch.Generator().manual_seed(self.seed))
        if split:
            middle = len(order) // 2
            order = order[middle:] if half else order[:middle]
        index: Tensor = order[: limit or self.limit].sort().values
        if len(index) < 2:
            raise UsageError(f"suite {self.suite.name}: expected 2 images or more, got {len(index)}")
        return data.subset(index)
