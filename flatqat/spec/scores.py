"""Measured numbers, and those of a whole record in little memory. Standard library only."""

from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from math import isfinite, isnan, nan
from operator import itemgetter
from types import NoneType
from typing import Any, TypeVar

from flatqat.spec.reading import LARGEST_INTEGER, from_plain

T = TypeVar("T")
Names = tuple[tuple[str, ...], ...]
"""For each set its name, followed by those of its metrics."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One measured number.

    Attributes:
        value: The number, in percent where it is a share; None where it is not defined.
        n: The number of images behind it.
        stderr: Its standard error over images, or None if unknown.
    """

    value: float | None
    n: int
    stderr: float | None = None


class Scores(Mapping[str, Mapping[str, Score]]):
    """`scores[shift][metric]` of a record, in columns: a `Score` is made when it is looked up.

    A record of 77 sets takes 4 kB instead of 45, since records of one suite share their names and counts.
    """

    __slots__ = ("_counts", "_names", "_places", "_stderrs", "_values")

    def __init__(
        self,
        names: Names,
        counts: tuple[int, ...],
        values: Iterable[float | None],
        stderrs: Iterable[float | None],
    ) -> None:
        """Hold scores, set by set in the order of `names`."""
        self._names, self._counts = _same(names), _same(counts)
        self._places = _places(names)
        self._values, self._stderrs = _column(values), _column(stderrs)

    @classmethod
    def of(cls, scores: Mapping[str, Mapping[str, Score]]) -> "Scores":
        """Return the same scores."""
        every = [score for metrics in scores.values() for score in metrics.values()]
        names = tuple((shift, *metrics) for shift, metrics in scores.items())
        return cls(
            names, tuple(one.n for one in every), (one.value for one in every), (one.stderr for one in every)
        )

    @classmethod
    def read(cls, plain: Any) -> "Scores":
        """Return the scores in JSON's object. Raises FieldError as reading each `Score` on its own does."""
        if isinstance(plain, cls):
            return plain
        try:
            every = [score for metrics in plain.values() for score in metrics.values()]
            counts, stderrs, values = zip(*map(itemgetter("n", "stderr", "value"), every), strict=True)
        except (AttributeError, KeyError, TypeError, ValueError):  # not of this shape, or empty
            return cls.of(from_plain(SCORES, plain))
        kinds = {*map(type, values), *map(type, stderrs)}
        if (
            {*map(len, every)} != {3}
            or {*map(type, counts)} != {int}
            or not kinds <= {float, NoneType}
            or max(map(abs, counts)) >= LARGEST_INTEGER
            or not all(map(isfinite, filter(None, chain(values, stderrs))))
        ):
            return cls.of(from_plain(SCORES, plain))
        return cls(tuple((shift, *metrics) for shift, metrics in plain.items()), counts, values, stderrs)

    def with_numbers(self, values: Iterable[float | None], stderrs: Iterable[float | None]) -> "Scores":
        """Return scores of the same metrics and images with other numbers, set by set."""
        return Scores(self._names, self._counts, values, stderrs)

    def __getitem__(self, shift: str) -> dict[str, Score]:
        """Return the scores on a set by metric."""
        return {metric: self._at(place) for metric, place in self._places[shift].items()}

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __repr__(self) -> str:
        return repr(dict(self))

    @property
    def metrics(self) -> Mapping[str, Iterable[str]]:
        """The names of the metrics of each set."""
        return self._places

    def values_of(self, metric: str, shifts: Iterable[str]) -> list[float | None]:
        """Return the values of a metric on some sets."""
        places = _places_of(self._names, metric, tuple(shifts))
        numbers = map(self._values.__getitem__, places)
        return [None if number != number else number for number in numbers]  # NaN differs from itself

    def counts_of(self, metric: str) -> dict[str, int]:
        """Return the number of images of each set behind a metric."""
        return {shift: self._counts[places[metric]] for shift, places in self._places.items()}

    def _at(self, place: int) -> Score:
        value, stderr = self._values[place], self._stderrs[place]
        return Score(
            value=None if isnan(value) else value,
            n=self._counts[place],
            stderr=None if isnan(stderr) else stderr,
        )


SCORES: Any = Mapping[str, Mapping[str, Score]]


def _column(numbers: Iterable[float | None]) -> "array[float]":
    return array("d", [nan if number is None else number for number in numbers])


@lru_cache(maxsize=64)
def _places(names: Names) -> dict[str, dict[str, int]]:
    """Return where the score of each metric of each set is."""
    count = iter(range(sum(map(len, names))))
    return {shift: {metric: next(count) for metric in metrics} for shift, *metrics in names}


@lru_cache(maxsize=256)
def _places_of(names: Names, metric: str, shifts: tuple[str, ...]) -> list[int]:
    """Return where the scores of one metric are."""
    places = _places(names)
    return [places[shift][metric] for shift in shifts]


@lru_cache(maxsize=128)
def _same(value: T) -> T:
    """Return equal values as one object."""
    return value
