"""The states of the cells of a run, as the engine reports them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Literal, get_args

State = Literal["waiting", "starting", "trained", "measured", "scored", "done", "failed", "skipped"]
Pair = tuple[float | None, float | None]
"""A metric in percent, in distribution and out of it; None where it is not defined."""

STATES: tuple[State, ...] = get_args(State)
TROUBLES: tuple[State, ...] = ("failed", "skipped")
UNKNOWN: Pair = (None, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A cell that is shown, and what was stored of it before the run.

    Attributes:
        key: What identifies it in reports.
        title: Its name in lines.
        labels: Its suite, model, method and bits, for tables.
        seed: Its seed.
        metric: The title of its metric.
        scored: False for a cell that is trained only because others start from it.
        state: Its state at the beginning.
        scores: Its scores, if it is done.
    """

    key: str
    title: str
    labels: tuple[str, str, str, str]
    seed: int
    metric: str
    scored: bool = True
    state: State = "waiting"
    scores: Pair = UNKNOWN


@dataclass(frozen=True, slots=True)
class Doing:
    """What a task does to cells, by their keys; if `counted`, its steps are shown as numbers, not percent."""

    what: str
    keys: tuple[str, ...]
    counted: bool = False


@dataclass(slots=True)
class Activity:
    """A task at work on cells."""

    doing: Doing
    total: int
    done: int = 0

    def __str__(self) -> str:
        """Return `training 45%` or `scoring 12/46`."""
        if self.doing.counted:
            return f"{self.doing.what} {self.done}/{self.total}"
        return f"{self.doing.what} {100 * self.done // self.total}%" if self.total else self.doing.what


@dataclass(slots=True)
class Place:
    """The state of a cell; `changed` grows with every change on the board."""

    row: Row
    state: State
    scores: Pair
    activities: list[Activity] = field(default_factory=list)
    changed: int = 0

    @property
    def is_over(self) -> bool:
        """Whether nothing more happens to it."""
        return self.state in ("done", *TROUBLES) or (self.state == "trained" and not self.row.scored)

    @property
    def activity(self) -> str:
        """What is done to it now, or an empty text."""
        return "".join(map(str, self.activities[-1:]))  # another thread may end it meanwhile


class Board:
    """The places of all cells. One thread writes at a time, and others may read meanwhile."""

    def __init__(self, rows: Sequence[Row] = ()) -> None:
        self._places = {row.key: Place(row, row.state, row.scores) for row in rows}
        self._changes = count(1)

    @property
    def places(self) -> list[Place]:
        """All places, in the order of the rows."""
        return list(self._places.values())

    def move(self, key: str, state: State, scores: Pair) -> Place | None:
        """Advance a cell and return its place; None if it is not on the board, or has got as far already.

        Scores that are known replace others in any case, until the cell is over.
        """
        place = self._places.get(key)
        if place is None or place.is_over:
            return None
        if scores != UNKNOWN or state in TROUBLES:
            place.scores, place.changed = scores, next(self._changes)
        if STATES.index(state) <= STATES.index(place.state):
            return None
        place.state, place.changed = state, next(self._changes)
        return place

    @contextmanager
    def at_work(self, doing: Doing | None, total: int) -> Iterator[Activity]:
        """Show an activity at its cells for as long as it takes."""
        activity = Activity(doing or Doing("", ()), total)
        places = [self._places[key] for key in activity.doing.keys if key in self._places]
        for place in places:
            place.activities.append(activity)
            place.changed = next(self._changes)
        try:
            yield activity
        finally:
            for place in places:
                place.activities.remove(activity)

    def counts(self) -> tuple[int, int]:
        """Return how many of the cells that get scores are over, and how many there are."""
        scored = [place for place in self._places.values() if place.row.scored]
        return sum(place.is_over for place in scored), len(scored)


def end_line(place: Place, counts: tuple[int, int]) -> str:
    """Return a line on a cell that is over: `done tiny qat 4 seed 0: top-1 85.4, OOD 71.2 (3 of 8)`."""
    names = (place.row.metric, "OOD")
    known = [(name, score) for name, score in zip(names, place.scores, strict=True) if score is not None]
    numbers = [f"{name} {score:.1f}" for name, score in known]
    of_it = f": {', '.join(numbers)}" if numbers else ""
    return f"{place.state} {place.row.title}{of_it} ({counts[0]} of {counts[1]})"
