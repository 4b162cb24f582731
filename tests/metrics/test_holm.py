"""Holm's correction against a calculation by hand and the bounds between which it lies."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flatqat.metrics.holm import holm


def test_holm_by_hand() -> None:
    # sorted 0.005 0.01 0.03 0.04; times 4 3 2 1: 0.02 0.03 0.06 0.04; running maximum 0.02 0.03 0.06 0.06
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02], rel=1e-12)
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([0.04]) == [0.04]
    assert holm([]) == []


@pytest.mark.parametrize("p", [float("nan"), -0.1, 1.1])
def test_what_is_no_p_value_is_refused(p: float) -> None:
    with pytest.raises(ValueError, match="from 0 to 1"):
        holm([0.5, p])


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_lies_between_the_plain_values_and_bonferroni(p: list[float]) -> None:
    adjusted = holm(p)
    for plain, one in zip(p, adjusted, strict=True):
        assert plain <= one <= min(1.0, len(p) * max(p))
        assert one >= min(1.0, len(p) * min(p)) or plain > min(p)
    order = np.argsort(p, kind="stable")
    assert (np.diff(np.array(adjusted)[order]) >= 0).all()
    assert min(adjusted) == min(1.0, len(p) * min(p))
