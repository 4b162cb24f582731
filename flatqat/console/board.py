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
class CellState:
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
    """The states of all cells. One thread writes at a time, and others may read meanwhile."""

    def __init__(self, rows: Sequence[Row] = ()) -> None:
        self._cells = {row.key: CellState(row, row.state, row.scores) for row in rows}
        self._changes = count(1)

    @property
    def cells(self) -> list[CellState]:
        """All cells with their states, in the order of the rows."""
        return list(self._cells.values())

    def move(self, key: str, state: State, scores: Pair) -> CellState | None:
        """Advance a cell and return its state; None if it is not on the board, or has got as far already.

        Scores that are known replace others in any case, until the cell is over.
        """
        cell = self._cells.get(key)
        if cell is None or cell.is_over:
            return None
        if scores != UNKNOWN or state in TROUBLES:
            cell.scores, cell.changed = scores, next(self._changes)
        if STATES.index(state) <= STATES.index(cell.state):
            return None
        cell.state, cell.changed = state, next(self._changes)
        return cell

    @contextmanager
    def at_work(self, doing: Doing | None, total: int) -> Iterator[Activity]:
        """Show an activity at its cells for as long as it takes."""
        activity = Activity(doing or Doing("", ()), total)
        cells = [self._cells[key] for key in activity.doing.keys if key in self._cells]
        for cell in cells:
            cell.activities.append(activity)
            cell.changed = next(self._changes)
        try:
            yield activity
        finally:
            for cell in cells:
                cell.activities.remove(activity)

    def counts(self) -> tuple[int, int]:
        """Return how many of the cells that get scores are over, and how many there are."""
        scored = [cell for cell in self._cells.values() if cell.row.scored]
        return sum(cell.is_over for cell in scored), len(scored)


def end_line(cell: CellState, counts: tuple[int, int]) -> str:
    """Return a line on a cell that is over: `done tiny qat 4 seed 0: top-1 85.4, OOD 71.2 (3 of 8)`."""
    names = (cell.row.metric, "OOD")
    known = [(name, score) for name, score in zip(names, cell.scores, strict=True) if score is not None]
    numbers = [f"{name} {score:.1f}" for name, score in known]
    of_it = f": {', '.join(numbers)}" if numbers else ""
    return f"{cell.state} {cell.row.title}{of_it} ({counts[0]} of {counts[1]})"
