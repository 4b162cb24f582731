"""Agreement of predictions and differences of logits, against what is counted by hand."""

import math

import pytest
import torch

from flatqat.bench.deploy.agreement import Agreement
from flatqat.spec import IGNORED

NAN, INF = math.nan, math.inf


def counted(cell, file, labels, subset=None, groups=None) -> Agreement:
    agreement = Agreement(subset, groups)
    agreement.add(torch.tensor(cell), torch.tensor(file), torch.tensor(labels))
    return agreement


def test_predictions_and_logits_of_images():
    cell = [[0.0, 1.0, 3.0], [2.0, 0.0, -1.0], [0.0, 0.5, 0.0]]
    file = [[0.0, 1.0, 2.5], [0.0, 2.0, -1.0], [0.0, 0.5, 0.25]]
    found = counted(cell, file, [0, 0, 0])
    assert (found.predictions, found.equal) == (3, 2)  # whether they are right does not matter
    assert (found.largest, found.range) == (2.0, 4.0)


def test_batches_add_up():
    one = Agreement()
    one.add(torch.tensor([[0.0, 1.0]]), torch.tensor([[0.0, 1.5]]), torch.tensor([1]))
    one.add(torch.tensor([[5.0, 1.0]]), torch.tensor([[5.0, 6.0]]), torch.tensor([1]))
    other = counted([[-1.0, 0.0]], [[-1.0, 0.0]], [0])
    joint = one.with_others(other)
    assert (one.predictions, one.equal, one.largest, one.range) == (2, 1, 5.0, 5.0)
    assert (joint.predictions, joint.equal, joint.largest, joint.range) == (3, 2, 5.0, 6.0)


def test_a_class_that_is_masked_is_predicted_by_neither():
    cell, file = [[9.0, 1.0, 0.0], [0.0, 1.0, 2.0]], [[0.0, 1.0, 0.5], [9.0, 1.0, 2.0]]
    assert counted(cell, file, [1, 2]).equal == 0
    assert counted(cell, file, [1, 2], subset=(1, 2)).equal == 2


def test_classes_of_one_group_are_one_prediction():
    cell, file = [[9.0, 1.0, 0.0], [0.0, 1.0, 2.0]], [[1.0, 9.0, 0.5], [3.0, 1.0, 2.0]]
    assert counted(cell, file, [0, 1]).equal == 0
    found = counted(cell, file, [0, 1], groups=((0, 1), (2,)))
    assert (found.equal, found.largest) == (1, 8.0)  # differences are those of all logits


def test_only_labeled_pixels_count():
    cell = torch.zeros(1, 2, 2, 2)
    cell[0, 1] = torch.tensor([[1.0, -1.0], [1.0, -1.0]])
    file = cell.clone()
    file[0, 1, 0, 0] = -2.0  # another prediction, off by 3
    file[0, 1, 1, 1] = 50.0  # but there is no label here
    labels = torch.tensor([[[0, 1], [1, IGNORED]]])
    agreement = Agreement()
    agreement.add(cell, file, labels)
    assert (agreement.predictions, agreement.equal, agreement.largest) == (3, 2, 3.0)
    assert agreement.range == 2.0


def test_images_without_a_labeled_pixel_add_nothing():
    agreement = Agreement()
    agreement.add(torch.zeros(1, 2, 1, 1), torch.ones(1, 2, 1, 1), torch.tensor([[[IGNORED]]]))
    assert (agreement.predictions, agreement.largest, agreement.range) == (0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("cell", "file", "equal", "largest"),
    [
        ([NAN, 1.0], [NAN, 1.0], 1, 0.0),  # both predict nothing
        ([NAN, 1.0], [0.0, 1.0], 0, INF),
        ([0.0, 1.0], [NAN, 1.0], 0, INF),
        ([-INF, 1.0], [-INF, 1.0], 1, 0.0),
        ([-INF, 1.0], [0.0, 1.0], 1, INF),
        ([INF, 1.0], [-INF, 1.0], 0, INF),
    ],
)
def test_logits_that_are_not_finite(cell, file, equal, largest):
    found = counted([cell], [file], [0])
    assert (found.equal, found.largest) == (equal, largest)
