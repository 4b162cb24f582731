"""The compact margin keeps its sign: right if and only if above zero, whatever the logits."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from flatqat.metrics.outcomes import Outcomes, is_right
from flatqat.metrics.task import task_of

TIES_TINY_AND_HUGE = st.sampled_from(
    [0.0, -0.0, 1e-45, 1e-38, 6e-8, 3e-8, 1.0, 1.0 + 2**-23, 65504, 7e4, 3e38]
)
ANY_LOGIT = TIES_TINY_AND_HUGE | TIES_TINY_AND_HUGE.map(lambda x: -x) | st.floats(width=32)


def of_logits(logits: torch.Tensor, labels: torch.Tensor) -> Outcomes:
    measured = task_of("classification").meter(logits.shape[1])
    measured.add(logits, labels)
    return measured.result()[1]


@settings(deadline=None)  # the first call into torch is slow
@given(arrays(np.float32, (6, 3), elements=ANY_LOGIT), arrays(np.int64, 6, elements=st.integers(0, 2)))
def test_sign_of_the_margin_says_what_is_right(logits: np.ndarray, labels: np.ndarray) -> None:
    outcomes = of_logits(torch.from_numpy(logits), torch.from_numpy(labels))
    undefined = np.isnan(logits).any(axis=1)
    expected = (logits.argmax(axis=1) == labels) & ~undefined
    np.testing.assert_array_equal(outcomes.correct, expected)
    np.testing.assert_array_equal(outcomes.pred == labels, expected)
    np.testing.assert_array_equal(outcomes.pred == 3, undefined)
    assert np.isfinite(outcomes.margin).all()


@settings(deadline=None)
@given(arrays(np.float32, (6, 4), elements=st.floats(-30, 30, width=32)))
def test_margin_is_the_true_logit_minus_the_best_other(logits: np.ndarray) -> None:
    outcomes = of_logits(torch.from_numpy(logits), torch.full((6,), 2))
    exact = logits[:, 2] - np.delete(logits, 2, axis=1).astype(np.float64).max(axis=1)
    # float16 keeps 11 bits; below 2^-14 its spacing is 2^-24
    np.testing.assert_allclose(outcomes.margin.astype(np.float64), exact, rtol=2**-10, atol=2**-23)


def test_a_tie_goes_to_the_first_class() -> None:
    outcomes = of_logits(torch.zeros(2, 3), torch.tensor([0, 1]))
    assert outcomes.pred.tolist() == [0, 0]
    assert outcomes.margin.tolist() == [2**-24, 0]


def test_extremes_are_clipped_and_nan_is_wrong() -> None:
    nan, inf = torch.nan, torch.inf
    logits = torch.tensor([[3e38, -3e38], [-3e38, 3e38], [inf, inf], [-inf, -inf], [nan, 0], [5, nan]])
    outcomes = of_logits(logits, torch.zeros(6, dtype=torch.int64))
    assert outcomes.margin.tolist() == [65504, -65504, 2**-24, 2**-24, -65504, -65504]
    assert outcomes.pred.tolist() == [0, 1, 0, 0, 2, 2]


def test_the_prediction_outranks_the_margin() -> None:
    margin = np.array([2.0, -2.0, 1e-9, -1e-9, 1e-9], np.float32)
    packed = Outcomes.pack(np.array([1, 0, 0, 1, 1]), margin, np.zeros(5, int), np.ones(5), classes=2)
    assert packed.correct.tolist() == [False, True, True, False, False]
    assert packed.margin.tolist() == [0, 2**-24, 2**-24, 0, 0]


@pytest.mark.parametrize(
    ("classes", "dtype"), [(2, np.uint8), (255, np.uint8), (256, np.uint16), (1000, np.uint16)]
)
def test_predictions_take_the_smallest_type_that_holds_every_class_and_none(
    classes: int, dtype: type
) -> None:
    logits = torch.zeros(2, classes)
    logits[0, -1], logits[1, 0] = 1, torch.nan
    outcomes = of_logits(logits, torch.zeros(2, dtype=torch.int64))
    assert outcomes.pred.dtype == dtype
    assert outcomes.pred.tolist() == [classes - 1, classes]


def test_arrays_of_two_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="one length"):
        Outcomes(
            pred=np.zeros(3, np.uint8), margin=np.zeros(3, np.float16), confidence=np.zeros(2, np.float32)
        )


def test_margins_are_compared_by_their_bits_as_floating_point_does():
    margins = np.arange(2**16, dtype=np.uint16).view(np.float16)
    with np.errstate(invalid="ignore"):
        assert (is_right(margins) == (margins > 0)).all()
    assert (is_right(np.array([-1.0, 0.0, 1e-9])) == [False, False, True]).all()
