"""The meter against torch, scikit-learn and torchmetrics; and its independence of the batches."""

import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot

from flatqat.metrics.classification import ClassificationMeter
from flatqat.metrics.outcomes import Outcomes
from flatqat.spec import Score


def sample(n: int, classes: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Logits that are right about half of the time, with confidences over the whole range."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (n,), generator=generator)
    logits = 2 * torch.randn(n, classes, generator=generator)
    logits[torch.arange(n), labels] += 3
    return logits, labels


def measure(
    logits: Tensor, labels: Tensor, sizes: list[int] | None = None
) -> tuple[dict[str, Score], Outcomes]:
    measured = ClassificationMeter(logits.shape[1])
    for batch in zip(logits.split(sizes or len(labels)), labels.split(sizes or len(labels)), strict=True):
        measured.add(*batch)
    return measured.result()


def test_top1_is_the_accuracy_with_its_binomial_error() -> None:
    logits, labels = sample(1000, 10)
    top1 = measure(logits, labels)[0]["top1"]
    p = accuracy_score(labels, logits.argmax(1))
    assert top1 == Score(value=100 * p, n=1000, stderr=100 * math.sqrt(p * (1 - p) / 1000))


def test_the_binomial_error_at_76_percent_of_50_000_images_is_0_19_points() -> None:
    logits, labels = torch.zeros(50_000, 2), torch.zeros(50_000, dtype=torch.int64)
    labels[:12_000] = 1
    assert measure(logits, labels)[0]["top1"].stderr == pytest.approx(0.191, abs=0.0005)


def test_nll_is_the_cross_entropy() -> None:
    logits, labels = sample(1000, 10)
    nll = measure(logits, labels)[0]["nll"]
    each = cross_entropy(logits.double(), labels, reduction="none")
    # float32 logits and log-softmax: 1e-7 each, and errors average out
    assert nll.value == pytest.approx(float(each.mean()), rel=1e-6)
    assert nll.stderr == pytest.approx(float(each.std()) / math.sqrt(1000), rel=1e-6)


def test_brier_is_the_squared_distance_from_the_true_class() -> None:
    logits, labels = sample(1000, 10)
    brier = measure(logits, labels)[0]["brier"]
    each = (logits.double().softmax(1) - one_hot(labels, 10)).square().sum(1)
    assert brier.value == pytest.approx(float(each.mean()), rel=1e-6)  # float32, errors average out
    assert brier.stderr == pytest.approx(float(each.std()) / math.sqrt(1000), rel=1e-6)
    certain = torch.tensor([[200.0, 0], [0, 200]])
    assert [measure(certain[[k]], torch.tensor([0]))[0]["brier"].value for k in (0, 1)] == [0, 2]


def test_ece_and_accuracy_agree_with_torchmetrics() -> None:
    from torchmetrics.functional.classification import multiclass_accuracy, multiclass_calibration_error

    logits, labels = sample(2000, 10)
    scores, _ = measure(logits, labels)
    ece = multiclass_calibration_error(logits.softmax(1), labels, num_classes=10, n_bins=15, norm="l1")
    top1 = multiclass_accuracy(logits, labels, num_classes=10, average="micro")
    assert scores["ece"].value == pytest.approx(100 * float(ece), rel=1e-5)  # it sums in float32
    assert scores["top1"].value == pytest.approx(100 * float(top1), rel=1e-6)


def test_ece_of_certain_predictions_is_their_error() -> None:
    logits = torch.tensor([[200.0, 0], [200, 0], [200, 0], [0, 200]])
    scores, _ = measure(logits, torch.tensor([0, 0, 0, 0]))
    assert scores["ece"].value == 25
    assert scores["top1"].value == 75


@pytest.mark.parametrize("classes", [10, 1000])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_batches_do_not_change_a_bit(classes: int, dtype: torch.dtype) -> None:
    logits, labels = sample(97, classes)
    logits = logits.to(dtype)
    scores, outcomes = measure(logits, labels)
    for sizes in ([1] * 97, [33, 1, 63], [96, 1]):
        others, other = measure(logits, labels, sizes)
        assert others == scores
        np.testing.assert_array_equal(other.pred, outcomes.pred)
        np.testing.assert_array_equal(other.margin, outcomes.margin)
        np.testing.assert_array_equal(other.confidence, outcomes.confidence)


def test_the_confidence_is_the_probability_of_the_predicted_class() -> None:
    logits, labels = sample(50, 10)
    _, outcomes = measure(logits, labels)
    expected = logits.softmax(1).gather(1, torch.from_numpy(outcomes.pred).long()[:, None])[:, 0]
    np.testing.assert_allclose(outcomes.confidence, expected, rtol=1e-6)  # an ulp of exp


def test_half_precision_logits_are_computed_on_as_float32() -> None:
    logits, labels = sample(200, 10)
    half = logits.bfloat16()
    assert measure(half, labels)[0] == measure(half.float(), labels)[0]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_agrees_with_cpu() -> None:
    logits, labels = sample(500, 1000)
    here, outcomes = measure(logits, labels)
    there, others = measure(logits.cuda(), labels, [100] * 5)
    assert there["top1"] == here["top1"]
    np.testing.assert_array_equal(others.pred, outcomes.pred)
    np.testing.assert_array_equal(others.margin, outcomes.margin)
    # exp and log differ by an ulp of float32; a confidence on an edge may change its bin
    assert there["nll"].value == pytest.approx(here["nll"].value, rel=1e-6)
    assert there["ece"].value == pytest.approx(here["ece"].value, abs=0.3)


def test_masked_classes_leave_every_score_defined() -> None:
    logits, labels = sample(100, 10)
    labels = labels % 4
    masked = logits.clone()
    masked[:, 4:] = -torch.inf
    scores, outcomes = measure(masked, labels)
    narrow, _ = measure(logits[:, :4], labels)
    assert scores["top1"] == narrow["top1"]
    assert scores["nll"].value == pytest.approx(narrow["nll"].value, rel=1e-6)
    assert scores["ece"].value == pytest.approx(narrow["ece"].value, rel=1e-5)
    assert outcomes.pred.max() < 4


def test_logits_that_are_not_finite_leave_nll_and_ece_undefined() -> None:
    logits, labels = sample(10, 3)
    logits[4] = torch.nan
    scores, outcomes = measure(logits, labels)
    assert scores["nll"] == Score(value=None, n=10)
    assert scores["brier"] == Score(value=None, n=10)
    assert scores["ece"] == Score(value=None, n=10)
    assert np.isnan(outcomes.confidence).tolist() == [place == 4 for place in range(10)]
    assert not outcomes.correct[4]
    assert scores["top1"].value == 100 * outcomes.correct.mean()


def test_one_image_has_no_standard_error_of_the_nll() -> None:
    scores, outcomes = measure(*sample(1, 3))
    assert scores["nll"].stderr is None
    assert len(outcomes) == 1


def test_add_keeps_no_graph() -> None:
    logits, labels = sample(5, 3)
    scores, _ = measure(logits.requires_grad_(), labels)
    assert scores["nll"].value is not None


def test_wrong_shapes_and_missing_images_are_refused() -> None:
    measured = ClassificationMeter(10)
    with pytest.raises(ValueError, match=r"expected logits of shape \(4, 10\), got \(4, 9\)"):
        measured.add(torch.zeros(4, 9), torch.zeros(4, dtype=torch.int64))
    with pytest.raises(ValueError, match="expected images, got none"):
        measured.result()


def test_the_tests_of_differences_need_neither_torch_nor_scipy_to_start() -> None:
    code = (
        "import sys, flatqat.metrics.components, flatqat.metrics.holm, flatqat.metrics.outcomes;"
        "from flatqat.metrics.task import TASKS; TASKS['segmentation'].metric.values;"
        "sys.exit(bool({'torch', 'scipy', 'pandas'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


def test_masked_classes_are_never_predicted_and_both_conventions_are_scored():
    logits = torch.tensor([[0.0, 5.0, 1.0, 2.0], [3.0, 9.0, 1.0, 2.0], [0.0, 1.0, 4.0, 2.0]])
    labels = torch.tensor([3, 2, 2])
    meter = ClassificationMeter(4, class_subset=(3, 2))
    meter.add(logits[:2], labels[:2])
    meter.add(logits[2:], labels[2:])
    scores, outcomes = meter.result()
    assert outcomes.pred.tolist() == [3, 3, 2]
    assert scores["top1"].value == pytest.approx(200 / 3)
    assert scores["top1_unmasked"].value == pytest.approx(100 / 3)
    kept = torch.nn.functional.cross_entropy(logits[:, 2:], labels - 2)
    assert scores["nll"].value == pytest.approx(float(kept), rel=1e-6)
    plain = ClassificationMeter(4)
    plain.add(logits, labels)
    assert "top1_unmasked" not in plain.result()[0]


def test_a_subset_is_brought_to_the_device_once(monkeypatch):
    """On a GPU each copy waits for all that is computed there."""
    meter = ClassificationMeter(4, (1, 3))
    monkeypatch.setattr(torch, "tensor", lambda *args, **options: pytest.fail("another copy"))
    for _ in range(2):
        meter.add(torch.eye(4), torch.arange(4))
    assert meter._subset.to("cpu") is meter._subset
