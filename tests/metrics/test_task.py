"""The table of tasks: names, and that loss, meter and metric belong together."""

import pytest
import torch

from flatqat.errors import UsageError
from flatqat.metrics.classification import ClassificationMeter
from flatqat.metrics.loss import cross_entropy, pixel_cross_entropy
from flatqat.metrics.segmentation import SegmentationMeter
from flatqat.metrics.task import TASKS, task_of


def test_every_task_has_its_loss_meter_and_metric() -> None:
    classification, segmentation = task_of("classification"), task_of("segmentation")
    assert (classification.loss, segmentation.loss) == (cross_entropy, pixel_cross_entropy)
    assert isinstance(classification.meter(10), ClassificationMeter)
    assert isinstance(segmentation.meter(10), SegmentationMeter)
    assert all(task.name == name for name, task in TASKS.items())


@pytest.mark.parametrize("name", sorted(TASKS))
def test_the_mean_of_the_metrics_values_is_the_score_of_the_meter(name: str) -> None:
    """From the arrays that are stored of every image, which `needs` names."""
    task, shape = TASKS[name], () if name == "classification" else (6, 7)
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(30, 4, *shape, generator=generator)
    meter = task.meter(4)
    meter.add(logits, torch.randint(4, (30, *shape), generator=generator))
    scores, outcomes = meter.result()
    arrays = {array: getattr(outcomes, array) for array in task.metric.needs}
    values = task.metric.values(task.metric.outcome(arrays))
    assert 100 * values.mean() == pytest.approx(scores[task.metric.name].value, rel=1e-12)


def test_an_unknown_task_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UsageError, match=r"unknown task 'clasification'.*did you mean 'classification'"):
        task_of("clasification")
