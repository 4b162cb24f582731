"""Numbers made of predictions: a meter for each task, and how sure one can be of a difference.

A meter takes logits batch by batch and gives the scores of one shift with the outcome of every image. The
tests of `statistics`, `bootstrap` and `gaps` need those outcomes alone: numpy, no torch and no GPU.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Protocol

from flatqat.errors import choose

if TYPE_CHECKING:
    from torch import Tensor

    from flatqat.metrics.confusion import Confusions
    from flatqat.metrics.outcomes import Outcomes
    from flatqat.spec import Score

METERS = {
    "classification": "flatqat.metrics.classification:ClassificationMeter",
    "segmentation": "flatqat.metrics.segmentation:SegmentationMeter",
}


class Meter(Protocol):
    """Built with the number of classes, and those that the shift has, for one model on one shift."""

    def add(self, logits: "Tensor", labels: "Tensor") -> None:
        """Take one batch."""

    def result(self) -> "tuple[dict[str, Score], Outcomes | Confusions]":
        """The scores over all images added, by name of the metric, and the outcome of each image."""


def meter(task: str, classes: int, class_subset: tuple[int, ...] | None = None) -> Meter:
    """A fresh meter for a suite's task; raises UsageError on an unknown task, listing the choices.

    `only` are the classes of a set that has fewer than the model.
    """
    module, _, name = METERS[choose("task", task, METERS)].partition(":")
    built: Meter = getattr(import_module(module), name)(classes, class_subset)
    return built
