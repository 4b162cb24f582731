"""Series: the runs of one cell under several seeds, and which series of results is which of the baseline.

Cells match by their role: suite, model, method, bits, recipe, limit, window and adaptation. What else is in a
cell is its identity, which changes when somebody edits a method, so it only decides between several of one
role.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from flatqat.bench.gate.run import Run
from flatqat.spec import Cell

REVISION: dict[str, Any] = {"plugins": None, "method_version": 1, "quant_version": 1, "suite_version": 1}
"""What a new revision of the code changes in a cell."""
STARTS: dict[str, Any] = {"weights": None, "amp": False, "preprocessing": None}
SETTINGS: dict[str, Any] = {"method_args": (), "recipe_args": (), "step_multiplier": 1}
ROUNDS: tuple[dict[str, Any], ...] = ({}, REVISION, REVISION | STARTS, REVISION | STARTS | SETTINGS)
"""What a round of matching ignores."""
ORDER = ("suite", "model", "method", "quant", "method_args", "id")
MOST_DIFFERENCES = 2  # of a cell that is named as a hint


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Series:
    """Runs of cells that differ in nothing but the seed, and what they have in common as a cell of seed 0."""

    cell: Cell
    runs: tuple[Run, ...]

    @property
    def done(self) -> list[Run]:
        """The finished runs, by seed."""
        return [run for run in self.runs if not run.reason]

    @property
    def seeds(self) -> list[int]:
        """The seeds of the finished runs."""
        return [run.cell.seed for run in self.done]


@dataclass(frozen=True, slots=True, kw_only=True)
class Matches:
    """Which series belong together, those of the baseline that have no other, and those of the results."""

    pairs: list[tuple[Series, Series]]
    lost: list[Series]
    extra: list[Series]


def newest(runs: Iterable[Run]) -> list[Run]:
    """Return the runs of the newest revision of every series, from whatever revisions there are."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(_without_seed(run.cell, **REVISION).id, []).append(run)
    kept = []
    for group in groups.values():
        last = _revision(max(group, key=lambda run: run.age))
        kept += [run for run in group if _revision(run) == last]
    return kept


def series_of(runs: Iterable[Run]) -> list[Series]:
    """Return the series of some runs, sorted by what names them."""
    groups: dict[str, dict[int, Run]] = {}
    for run in sorted(runs, key=lambda run: run.age):  # of two trainings of one seed the newer
        groups.setdefault(_without_seed(run.cell).id, {})[run.cell.seed] = run
    series = []
    for by_seed in groups.values():
        ordered = tuple(by_seed[seed] for seed in sorted(by_seed))
        series.append(Series(cell=_without_seed(ordered[0].cell), runs=ordered))
    return sorted(series, key=lambda one: [str(getattr(one.cell, name)) for name in ORDER])


def match(before: Sequence[Series], now: Sequence[Series]) -> Matches:
    """Match series that are equal in all, then those of one role, where there is one on either side."""
    pairs, lost, extra = [], list(before), list(now)
    for ignored in ROUNDS:
        ours, theirs = _by_key(extra, ignored), _by_key(lost, ignored)
        for key, (old, *others) in theirs.items():
            found = ours.get(key, [])
            if len(found) == 1 and not others:
                pairs.append((old, found[0]))
        taken = {id(one) for pair in pairs for one in pair}
        lost, extra = ([one for one in side if id(one) not in taken] for side in (lost, extra))
    order = {id(one): place for place, one in enumerate(before)}
    return Matches(pairs=sorted(pairs, key=lambda pair: order[id(pair[0])]), lost=lost, extra=extra)


def nearest(series: Series, others: Iterable[Series]) -> tuple[Series, list[str]] | None:
    """Return the closest of `others` and the fields of its role that differ; None if none is close."""
    found = [(other, _differing(series.cell, other.cell)) for other in others]
    close = [pair for pair in found if len(pair[1]) <= MOST_DIFFERENCES]
    return min(close, key=lambda pair: len(pair[1]), default=None)


def _differing(one: Cell, other: Cell) -> list[str]:
    ignored = {"seed", "parent", *ROUNDS[-1]}
    names = [each.name for each in fields(Cell) if each.name not in ignored]
    return [name for name in names if getattr(one, name) != getattr(other, name)]


def _by_key(series: Iterable[Series], ignored: dict[str, Any]) -> dict[str, list[Series]]:
    groups: dict[str, list[Series]] = {}
    for one in series:
        groups.setdefault(replace(one.cell, **ignored).id, []).append(one)
    return groups


def _without_seed(cell: Cell, **ignored: Any) -> Cell:
    return replace(cell, seed=0, parent=None, **ignored)  # the parent has the seed, too


def _revision(run: Run) -> tuple[object, ...]:
    return tuple(getattr(run.cell, name) for name in REVISION)
