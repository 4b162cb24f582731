"""Means of values some of which may be missing. The name of the function says what happens to these."""

import math
from collections.abc import Iterable


def mean_of_known(values: Iterable[float | None]) -> float | None:
    """Return the mean of the values that are known; those that are None or NaN are skipped."""
    known = [value for value in values if value is not None and value == value]
    return math.fsum(known) / len(known) if known else None


def mean_if_complete(values: Iterable[float | None]) -> float | None:
    """Return the mean of all values, or None if one of them is None or NaN."""
    every = list(values)
    return mean_of_known(every if all(value is not None and value == value for value in every) else [])
