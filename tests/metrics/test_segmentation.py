"""The segmentation meter against a loop over pixels, scikit-learn, torchmetrics and the meter of images."""

import math
import warnings
from fractions import Fraction

import numpy as np
import pytest
import torch
from sklearn.metrics import confusion_matrix, jaccard_score
from torch import Tensor

from flatqat.metrics import segmentation
from flatqat.metrics.classification import ClassificationMeter
from flatqat.metrics.confusion import Confusions
from flatqat.metrics.segmentation import SegmentationMeter
from flatqat.metrics.task import task_of
from flatqat.spec import Score

CLASSES = 5


def sample(n: int = 6, size: tuple[int, int] = (9, 7), seed: int = 0) -> tuple[Tensor, Tensor]:
    """Logits of any confidence; a quarter of the pixels ignored, and the last class in no truth."""
    generator = torch.Generator().manual_seed(seed)
    masks = torch.randint(CLASSES - 1, (n, *size), generator=generator)
    logits = 2 * torch.randn(n, CLASSES, *size, generator=generator)
    logits.scatter_add_(1, masks[:, None], torch.full((n, 1, *size), 3.0))
    masks[torch.rand(masks.shape, generator=generator) < 0.25] = 255
    return logits, masks


def measure(
    logits: Tensor, masks: Tensor, sizes: list[int] | None = None
) -> tuple[dict[str, Score], Confusions]:
    measured = SegmentationMeter(logits.shape[1])
    sizes = sizes or [len(masks)]
    for batch in zip(logits.split(sizes), masks.split(sizes), strict=True):
        measured.add(*batch)
    return measured.result()


def by_loop(logits: Tensor, masks: Tensor) -> np.ndarray:
    """(n, C, C), pixel by pixel."""
    counts = np.zeros((len(masks), CLASSES, CLASSES), int)
    for i in range(len(masks)):
        for row in range(masks.shape[1]):
            for column in range(masks.shape[2]):
                if (truth := int(masks[i, row, column])) != 255:
                    counts[i, truth, int(logits[i, :, row, column].argmax())] += 1
    return counts


def test_counts_are_those_of_a_loop_over_pixels_and_of_scikit_learn() -> None:
    logits, masks = sample()
    _, outcomes = measure(logits, masks)
    np.testing.assert_array_equal(outcomes.confusion, by_loop(logits, masks))
    assert not outcomes.unpredicted.any()
    kept = masks != 255
    theirs = confusion_matrix(masks[kept], logits.argmax(1)[kept], labels=range(CLASSES))
    np.testing.assert_array_equal(outcomes.confusion.sum(axis=0), theirs)


def test_iou_is_the_jaccard_score_and_miou_its_mean_over_the_classes_there() -> None:
    logits, masks = sample()
    logits[:, CLASSES - 1] = -9  # a class that is neither there nor predicted
    scores, _ = measure(logits, masks)
    kept = masks != 255
    theirs = jaccard_score(masks[kept], logits.argmax(1)[kept], labels=range(CLASSES - 1), average=None)
    ours = [scores[f"iou/{k}"].value for k in range(CLASSES)]
    assert ours == [*(pytest.approx(100 * iou, rel=1e-12) for iou in theirs), None]
    assert scores["miou"].value == pytest.approx(100 * theirs.mean(), rel=1e-12)
    assert {score.n for score in scores.values()} == {6}


def test_a_class_predicted_where_there_is_none_has_an_iou_of_zero() -> None:
    masks = torch.zeros(1, 2, 2, dtype=torch.int64)
    logits = torch.zeros(1, 3, 2, 2)
    logits[0, 1, 0, 0] = 1  # one of four pixels of class 0 is taken for class 1; class 2 is nowhere
    scores, _ = measure(logits, masks)
    assert [scores[f"iou/{k}"].value for k in range(3)] == [75, 0, None]
    assert scores["miou"].value == pytest.approx(37.5)


@pytest.mark.parametrize("all_there", [True, False])
def test_agrees_with_torchmetrics(all_there: bool) -> None:
    """Its macro average leaves out classes with 0/0 too."""
    from torchmetrics.functional.classification import multiclass_jaccard_index

    logits, masks = sample()
    if not all_there:
        logits[:, CLASSES - 1] = -9
    theirs = multiclass_jaccard_index(logits.argmax(1), masks, num_classes=CLASSES, ignore_index=255)
    # it divides in float32
    assert measure(logits, masks)[0]["miou"].value == pytest.approx(100 * float(theirs), rel=1e-6)


def test_nll_ece_and_accuracy_are_those_of_the_labeled_pixels_as_images() -> None:
    logits, masks = sample()
    scores, _ = measure(logits, masks)
    kept = masks != 255
    pixels = ClassificationMeter(CLASSES)
    pixels.add(logits.movedim(1, -1)[kept], masks[kept])
    theirs, _ = pixels.result()
    # two orders of summing the same float32 values in float64
    assert scores["nll"].value == pytest.approx(theirs["nll"].value, rel=1e-6)
    assert scores["ece"].value == pytest.approx(theirs["ece"].value, rel=1e-6)
    assert scores["pixel_accuracy"].value == pytest.approx(theirs["top1"].value, rel=1e-12)


def test_the_calibration_error_is_exact() -> None:
    """Against fractions: float32 confidences are summed without rounding, so their order cannot matter."""
    logits, masks = sample(size=(50, 40))
    logits = 4 * logits
    gaps, labeled = [Fraction(0)] * 15, 0
    for image, mask in zip(logits, masks, strict=True):
        kept = mask != 255
        log_p, truth = image[:, kept].log_softmax(0), mask[kept]
        right = image[:, kept].argmax(0) == truth
        for confidence, is_right in zip(log_p.amax(0).exp().tolist(), right.tolist(), strict=True):
            place = next(b for b in range(15) if confidence <= (b + 1) / 15)
            gaps[place] += is_right - Fraction(confidence)
            labeled += 1
    # 100 / n and the division are rounded
    assert measure(logits, masks)[0]["ece"].value == pytest.approx(
        float(100 * sum(map(abs, gaps)) / labeled), rel=1e-15
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_batches_do_not_change_a_bit(dtype: torch.dtype) -> None:
    logits, masks = sample(n=11)
    logits = logits.to(dtype)
    scores, outcomes = measure(logits, masks)
    for sizes in ([1] * 11, [3, 1, 7]):
        others, other = measure(logits, masks, sizes)
        assert others == scores
        np.testing.assert_array_equal(other.confusion, outcomes.confusion)
    assert measure(logits.float(), masks)[0] == scores
    assert measure(logits.to(memory_format=torch.channels_last), masks)[0] == scores


def test_the_error_of_a_mean_of_equal_images_is_the_usual_one() -> None:
    """sd / sqrt(n) with n - 1, where every image has as many labeled pixels."""
    logits, masks = sample(n=5)
    masks[masks == 255] = 0
    right = (logits.argmax(1) == masks).float().mean((1, 2))
    stderr = measure(logits, masks)[0]["pixel_accuracy"].stderr
    assert stderr == pytest.approx(100 * float(right.std(correction=1)) / 5**0.5, rel=1e-5)


def test_bins_of_low_confidence_are_those_of_images() -> None:
    """With many classes the first bins fill: below 1/15 always right here, above always wrong."""
    logits = 0.5 * torch.randn(2, 40, 8, 8, generator=torch.Generator().manual_seed(0))
    confidence, masks = logits.softmax(1).max(1)
    low = confidence < 1 / 15
    assert 20 < int(low.sum()) < 108
    masks = torch.where(low, masks, (masks + 1) % 40)
    scores, _ = measure(logits, masks)
    images = ClassificationMeter(40)
    images.add(logits.permute(0, 2, 3, 1).reshape(-1, 40), masks.flatten())
    assert scores["ece"].value == pytest.approx(images.result()[0]["ece"].value, rel=1e-6)


def test_pieces_of_an_image_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    logits, masks = sample(size=(40, 30))
    whole, outcomes = measure(logits, masks)
    for pixels in (1, 64, 1000):  # less than a row, two rows, all but a few rows
        monkeypatch.setattr(segmentation, "PIXELS", pixels)
        scores, other = measure(logits, masks)
        np.testing.assert_array_equal(other.confusion, outcomes.confusion)
        # torch takes the float32 log-softmax of few pixels by another kernel: 1e-7 a pixel
        assert scores["nll"].value == pytest.approx(whole["nll"].value, rel=1e-7)
        assert scores["ece"].value == pytest.approx(whole["ece"].value, rel=1e-6)
        assert scores["miou"] == whole["miou"]


def test_a_pixel_with_a_nan_is_a_miss_and_no_prediction() -> None:
    logits, masks = sample()
    masks[0, 0, :3] = torch.tensor([1, 255, 2])
    before = by_loop(logits, masks)
    logits[0, 3, 0, :3] = torch.nan
    scores, outcomes = measure(logits, masks)
    assert outcomes.unpredicted[0].tolist() == [0, 1, 1, 0, 0]
    assert not outcomes.unpredicted[1:].any()
    truth, predicted = before.sum(axis=2), outcomes.confusion.sum(axis=1)
    np.testing.assert_array_equal(outcomes.labeled_by_class, truth)
    hits = outcomes.confusion.diagonal(axis1=1, axis2=2)
    np.testing.assert_array_equal(outcomes.counts, np.stack([hits, truth + predicted - hits], axis=1))
    iou = [100 * hits[:, k].sum() / outcomes.counts[:, 1, k].sum() for k in range(CLASSES)]
    assert [scores[f"iou/{k}"].value for k in range(CLASSES)] == pytest.approx(iou)
    assert scores["pixel_accuracy"].value == pytest.approx(100 * hits.sum() / truth.sum())
    assert scores["nll"].value is None
    assert scores["ece"].value is None


def test_a_true_class_with_probability_zero_has_no_nll() -> None:
    logits, masks = sample()
    masks[0, 0, 0] = 0
    logits[0, 0, 0, 0] = -torch.inf
    scores, _ = measure(logits, masks)
    assert scores["nll"] == Score(value=None, n=6)
    assert scores["ece"].value is not None


def test_standard_errors_are_those_of_images_left_out_in_turn() -> None:
    """The jackknife, which the delta method approaches with the number of images."""
    n = 50
    logits, masks = sample(n=n)
    scores, _ = measure(logits, masks)
    kept = [[j for j in range(n) if j != i] for i in range(n)]
    without = [measure(logits[index], masks[index])[0] for index in kept]
    for name in ("miou", "pixel_accuracy", "nll", "iou/1"):
        values = [others[name].value for others in without]
        jackknife = (n - 1) / math.sqrt(n) * float(np.std(values, ddof=1))
        assert scores[name].stderr == pytest.approx(jackknife, rel=0.05)  # terms of 1/n are left out
    assert scores["ece"].stderr is None
    assert measure(logits[:1], masks[:1])[0]["miou"].stderr is None


def test_images_without_labels_add_nothing() -> None:
    logits, masks = sample()
    empty = torch.full_like(masks[:1], 255)
    scores, outcomes = measure(torch.cat([logits, logits[:1]]), torch.cat([masks, empty]))
    alone, _ = measure(logits, masks)
    assert {k: s.value for k, s in scores.items()} == {k: s.value for k, s in alone.items()}
    assert scores["miou"].n == 7
    assert not outcomes.confusion[-1].any()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nothing, _ = measure(logits[:2], empty.expand(2, -1, -1))
    assert {(score.value, score.stderr) for score in nothing.values()} == {(None, None)}


@pytest.mark.parametrize(("size", "dtype"), [((15, 17), np.uint8), ((16, 16), np.uint16)])
def test_counts_take_the_smallest_type_that_holds_them(size: tuple[int, int], dtype: type) -> None:
    logits = torch.zeros(2, 3, *size)
    _, outcomes = measure(logits, torch.zeros(2, *size, dtype=torch.int64))
    assert outcomes.confusion.dtype == dtype
    assert outcomes.unpredicted.dtype == np.uint8
    assert outcomes.counts.tolist() == [[[size[0] * size[1], 0, 0]] * 2] * 2


def test_what_makes_no_sense_is_refused() -> None:
    logits, masks = sample()
    with pytest.raises(ValueError, match="expected logits"):
        measure(logits[:, :, 1:], masks)
    with pytest.raises(ValueError, match="expected logits"):
        SegmentationMeter(CLASSES + 1).add(logits, masks)
    masks[0, 0, 0] = CLASSES
    with pytest.raises(ValueError, match="expected labels below 5, or 255 for none, got 5"):
        measure(logits, masks)
    with pytest.raises(ValueError, match="got none"):
        SegmentationMeter(2).result()
    with pytest.raises(ValueError, match="all 2 classes"):
        task_of("segmentation").meter(2, (0,))
    with pytest.raises(ValueError, match="unpredicted"):
        Confusions(confusion=np.zeros((1, 2, 2), np.uint8), unpredicted=np.zeros((1, 3), np.uint8))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_agrees_with_cpu() -> None:
    logits, masks = sample(size=(60, 50))
    here, there = measure(logits, masks), measure(logits.cuda(), masks)
    np.testing.assert_array_equal(here[1].confusion, there[1].confusion)
    for name in ("miou", "nll", "ece"):  # float32 softmax differs in its last digits between devices
        assert here[0][name].value == pytest.approx(there[0][name].value, rel=1e-5)
