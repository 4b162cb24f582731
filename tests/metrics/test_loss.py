"""Losses against a loop over pixels."""

import pytest
import torch
from torch.nn import functional as F

from flatqat.metrics.loss import cross_entropy, label_count, pixel_cross_entropy

LOGITS = torch.randn(2, 4, 3, 5, generator=torch.Generator().manual_seed(0))
MASKS = torch.randint(4, (2, 3, 5), generator=torch.Generator().manual_seed(1))
MASKS[0, 1] = 255


def by_pixel(logits: torch.Tensor) -> list[float]:
    """The loss of every labeled pixel."""
    return [
        -logits[b, :, y, x].log_softmax(0)[MASKS[b, y, x]].item()
        for b in range(2)
        for y in range(3)
        for x in range(5)
        if MASKS[b, y, x] != 255
    ]


def test_the_mean_is_over_labeled_pixels():
    each = by_pixel(LOGITS)
    assert label_count(MASKS) == len(each) == 25
    assert pixel_cross_entropy(LOGITS, MASKS).item() == pytest.approx(sum(each) / 25, rel=1e-6)  # float32
    assert pixel_cross_entropy(LOGITS, MASKS, reduction="sum").item() == pytest.approx(sum(each), rel=1e-6)


def test_heads_are_summed_by_weight():
    other = LOGITS.flip(1)
    both = pixel_cross_entropy(((1.0, LOGITS), (0.4, other)), MASKS)
    expected = pixel_cross_entropy(LOGITS, MASKS) + 0.4 * pixel_cross_entropy(other, MASKS)
    assert both.item() == pytest.approx(expected.item(), rel=1e-6)  # another order of sums


def test_without_any_label_the_loss_is_zero_with_a_gradient():
    logits = LOGITS.clone().requires_grad_()
    loss = pixel_cross_entropy(logits, torch.full_like(MASKS, 255))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert not logits.grad.any()


def test_halves_are_computed_in_single_precision():
    half, labels = LOGITS[:, :, 0, 0].bfloat16(), torch.tensor([1, 3])
    assert torch.equal(cross_entropy(half, labels), F.cross_entropy(half.float(), labels))
    assert cross_entropy(half, labels).dtype == torch.float32
    assert cross_entropy(LOGITS[:, :, 0, 0].double(), labels).dtype == torch.float64
