"""Means of values some of which may be missing. The name of the function says what happens to these."""

from collections.abc import Iterable
from typing import NamedTuple

from flatqat.metrics.significance import mean_over_seeds


class Mean(NamedTuple):
    """A mean and its standard error (sd with ddof=1 over sqrt(n)); None where it is not defined."""

    value: float | None
    stderr: float | None


def mean_of_known(values: Iterable[float | None]) -> Mean:
    """Return the mean of the values that are known; those that are None or NaN are skipped."""
    known = [value for value in values if value is not None and value == value]
    return Mean(*mean_over_seeds(known)) if known else Mean(None, None)


def mean_if_complete(values: Iterable[float | None]) -> Mean:
    """Return the mean of all values, or none at all if one of them is None or NaN."""
    every = list(values)
    return mean_of_known(every if all(value is not None and value == value for value in every) else [])
