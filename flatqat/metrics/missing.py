"""Means of values some of which may be missing. The name of the function says what happens to these."""

import math
from collections.abc import Iterable


def mean_of_known(values: Iterable[float | None]) -> float | None:
    """Return the mean of the values that are known; those that are None or NaN are skipped."""
    return mean_if_complete([value for value in values if value is not None and value == value])


def mean_if_complete(values: Iterable[float | None]) -> float | None:
    """Return the mean of all values, or None if one of them is None or NaN, or if there are none."""
    every = list(values)
    known = [value for value in every if value is not None]
    if not every or len(known) < len(every):
        return None
    total = math.fsum(known)
    return None if math.isnan(total) else total / len(every)
