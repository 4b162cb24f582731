"""Holm's correction for several tests."""

from collections.abc import Sequence

import numpy as np


def holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm's adjusted p-values, in the given order, to compare with the level of the whole family.

    With p_(1) <= ... <= p_(m): adjusted_(k) = max_{j <= k} min(1, (m - j + 1) p_(j)) (Holm 1979). Raises
    ValueError if one of them is not in [0, 1]: NaN would be taken for a decision.
    """
    p = np.asarray(p_values, dtype=np.float64)
    if not ((p >= 0) & (p <= 1)).all():
        raise ValueError(f"expected p-values from 0 to 1, got {list(p_values)}")
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.maximum.accumulate(np.minimum(1, (len(p) - np.arange(len(p))) * p[order]))
    return [float(value) for value in adjusted]
