"""What differs between tasks: the loss that trains, the meter that scores and the metric that is compared."""

from dataclasses import dataclass
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Protocol

from flatqat.errors import choose
from flatqat.metrics.metric import METRICS, Metric

if TYPE_CHECKING:
    from torch import Tensor

    from flatqat.metrics.confusion import Confusions
    from flatqat.metrics.grouped import Groups
    from flatqat.metrics.loss import Loss
    from flatqat.metrics.outcomes import Outcomes
    from flatqat.spec import Score


class Meter(Protocol):
    """Scores one model on one shift, batch by batch."""

    def add(self, logits: "Tensor", labels: "Tensor") -> None:
        """Add the next batch of images."""

    def result(self) -> "tuple[dict[str, Score], Outcomes | Confusions]":
        """Return the scores over all images added, by metric name, and the outcome of every image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One kind of labels.

    `metric` needs numpy alone. The loss and the meter need torch: "module:attribute" is imported on use.
    """

    name: str
    metric: Metric
    loss_path: str
    meter_path: str

    @property
    def loss(self) -> "Loss":
        """The loss that is minimized, and whose flatness is measured."""
        loss: Loss = resolve_name(self.loss_path)
        return loss

    def meter(
        self,
        classes: int,
        class_subset: tuple[int, ...] | None = None,
        groups: "Groups | None" = None,
    ) -> Meter:
        """Return a new meter for a model, and for a shift that may have only a subset of its classes.

        With `groups` each group of the model's classes counts as one class.
        """
        meter: Meter = resolve_name(self.meter_path)(len(groups) if groups else classes, class_subset)
        if groups:
            meter = resolve_name("flatqat.metrics.grouped:GroupedMeter")(meter, classes, groups)
        return meter


TASKS = {
    "classification": Task(
        name="classification",
        metric=METRICS["top1"],
        loss_path="flatqat.metrics.loss:cross_entropy",
        meter_path="flatqat.metrics.classification:ClassificationMeter",
    ),
    "segmentation": Task(
        name="segmentation",
        metric=METRICS["miou"],
        loss_path="flatqat.metrics.loss:pixel_cross_entropy",
        meter_path="flatqat.metrics.segmentation:SegmentationMeter",
    ),
}


def task_of(name: str) -> Task:
    """Return the task called `name`. Raises UsageError with the choices if there is none."""
    return TASKS[choose("task", name, TASKS)]
