"""Groups of classes: mean probabilities by the formula, whatever scores them, and what is refused."""

import numpy as np
import pytest
import torch

from flatqat.metrics.grouped import Grouping
from flatqat.metrics.task import task_of

GROUPS = ((4, 0), (2,), (1, 5, 6))  # class 3 is in none


def logits(*shape: int, scale: float = 3.0) -> torch.Tensor:
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def means(of: torch.Tensor) -> np.ndarray:
    """The mean probability of each group, in float64, scaled to a sum of 1."""
    p = np.exp(of.double().numpy())
    found = np.stack([p[:, group].mean(1) for group in GROUPS], 1)
    return found / found.sum(1, keepdims=True)


def test_probabilities_are_the_scaled_means_of_the_members() -> None:
    of = logits(20, 7)
    found = Grouping(GROUPS)(of).softmax(1)
    np.testing.assert_allclose(found.numpy(), means(of), rtol=1e-5)  # float32 against float64


def test_the_prediction_is_that_of_mean_softmax_probabilities() -> None:
    """Not of the largest member, nor of the sum: here both would say something else."""
    p = torch.tensor([[0.20, 0.21, 0.19, 0.0, 0.16, 0.0, 0.0]])  # means .18, .19, .07; sums .36, .19, .21
    assert int(Grouping(GROUPS)(p.log()).argmax(1)) == 1
    assert int(p[0].argmax()) == 1  # a member of the last group


def test_classes_that_are_far_behind_keep_their_order() -> None:
    """Where all probabilities of groups are zero in float32, since another class is certain."""
    of = torch.tensor([[0.0, -300.0, 1.0, 500.0, 3.0, -300.0, -300.0]])
    assert Grouping(GROUPS)(of).argsort(1, descending=True).tolist() == [[0, 1, 2]]
    assert (of.softmax(1)[:, [0, 2, 4]] == 0).all()


@pytest.mark.parametrize("type_", [torch.bfloat16, torch.float16, torch.float32])
def test_scores_are_those_of_the_mean_probabilities(type_: torch.dtype) -> None:
    of = logits(30, 7).to(type_)
    labels = torch.randint(3, (30,), generator=torch.Generator().manual_seed(1))
    meter = task_of("classification").meter(7, None, GROUPS)
    for part in range(0, 30, 7):  # several batches
        meter.add(of[part : part + 7], labels[part : part + 7])
    scores, outcomes = meter.result()
    p, y = means(of.float()), np.eye(3)[labels]
    assert scores["top1"].value == pytest.approx(100 * (p.argmax(1) == labels.numpy()).mean())
    assert scores["nll"].value == pytest.approx(-np.log((p * y).sum(1)).mean(), rel=1e-5)
    assert scores["brier"].value == pytest.approx(((p - y) ** 2).sum(1).mean(), rel=1e-5)
    assert outcomes.pred.tolist() == p.argmax(1).tolist()
    np.testing.assert_allclose(outcomes.confidence, p.max(1), rtol=1e-5)
    assert set(scores) == {"top1", "nll", "brier", "ece"}


def test_each_pixel_of_a_segmentation_is_grouped_too() -> None:
    of = logits(2, 7, 4, 5)
    labels = torch.randint(3, (2, 4, 5), generator=torch.Generator().manual_seed(1))
    meter, plain = task_of("segmentation").meter(7, None, GROUPS), task_of("segmentation").meter(3)
    meter.add(of, labels)
    means_of = [of[:, list(group)].exp().mean(1).log() for group in GROUPS]
    plain.add(torch.stack(means_of, 1), labels)
    assert meter.result()[0]["miou"].value == plain.result()[0]["miou"].value


def test_without_groups_the_meter_is_the_plain_one() -> None:
    assert type(task_of("classification").meter(7, None, None)) is type(task_of("classification").meter(7))


def test_other_logits_are_refused() -> None:
    meter = task_of("classification").meter(7, None, GROUPS)
    with pytest.raises(ValueError, match=r"expected logits of 7 classes, got \(2, 3\)"):
        meter.add(torch.zeros(2, 3), torch.zeros(2, dtype=torch.long))
