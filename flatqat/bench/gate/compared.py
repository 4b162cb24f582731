"""Two groups of runs compared series by series: the rows, and why the rest is not compared."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from flatqat.bench.gate.comparable import obstacles_of, of_same_weights, other_images, without_outcomes
from flatqat.bench.gate.compare import Row, Rules, compare
from flatqat.bench.gate.differences import what_differs
from flatqat.bench.gate.names import short_names
from flatqat.bench.gate.series import Matches, Series, match, nearest
from flatqat.bench.gate.shift_groups import By

RESULTS = "the results"


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedRuns:
    """The rows of all series that match, before they are judged.

    Attributes:
        title: What all cells have in common.
        rows: Every comparison.
        missing: The cells that could not be compared, and why.
        undefined: The cells and rows in which the metric is not defined on either side.
        differences: What else differs, and in which cells.
        extra: What only the second group has.
        labels: The labels of the cells of each name.
    """

    title: str
    rows: list[Row]
    missing: list[tuple[str, str]]
    undefined: list[tuple[str, str]]
    differences: dict[str, list[str]]
    extra: list[str]
    labels: dict[str, list[str]]

    @property
    def not_compared(self) -> list[tuple[str, str]]:
        """What could not be compared, and why: cells, then single rows."""
        return [*self.missing, *((cell, f"{what} is undefined") for cell, what in self.undefined)]


def compare_all(
    before: Sequence[Series],
    now: Sequence[Series],
    rules: Rules,
    *,
    by: By = "family",
    same_data: bool = False,
    where: str = RESULTS,
) -> ComparedRuns:
    """Compare the series of two groups that have one role.

    With `same_data` only those on the same images are compared; `where` says what the second group is.
    """
    matches = match(before, now)
    title, names = short_names([new for _, new in matches.pairs], [*matches.lost, *matches.extra])
    rows: list[Row] = []
    undefined: list[tuple[str, str]] = []
    missing = _lost(matches, names, where)
    found: dict[str, list[str]] = {}
    labels: dict[str, list[str]] = {}
    for one in (*matches.lost, *matches.extra, *(new for _, new in matches.pairs)):
        labels.setdefault(names[id(one)], []).extend(run.cell.label for run in one.runs)
    for old, new in matches.pairs:
        name = names[id(new)]
        place = "" if where == RESULTS else f" in {where}"
        missing += [(name, f"seed {run.cell.seed} {run.reason}{place}") for run in new.runs if run.reason]
        if not new.done:
            continue
        for text in what_differs(old, new):
            found.setdefault(text, []).append(name)
        compared, obstacles = _compare(name, old, new, rules, by, same_data)
        defined = [bool(np.isfinite([row.before, row.now]).all()) for row in compared]
        rows += [row for row, is_so in zip(compared, defined, strict=True) if is_so]
        undefined += [(name, row.what) for row, is_so in zip(compared, defined, strict=True) if not is_so]
        missing += [(name, obstacle) for obstacle in obstacles]
    return ComparedRuns(
        title=title,
        rows=rows,
        missing=missing,
        undefined=undefined,
        differences=found,
        extra=[names[id(one)] for one in matches.extra],
        labels=labels,
    )


def _compare(
    name: str, old: Series, new: Series, rules: Rules, by: By, same_data: bool
) -> tuple[list[Row], list[str]]:
    """Return the rows of two series, and why others cannot be compared."""
    if obstacles := obstacles_of(old, new, same_data=same_data):
        return [], obstacles
    if rules.evaluation_only:
        old, new, obstacles = of_same_weights(old, new)
    if not new.done:
        return [], obstacles
    before, now = ({run.cell.seed: run.values() for run in side.done} for side in (old, new))
    if gone := [*without_outcomes(old, before), *without_outcomes(new, now)]:
        return [], [*obstacles, *gone]
    shifts, nested, whole = new.done[0].shifts, new.done[0].nested, new.done[0].metric.whole
    if images := other_images(shifts, before, now):
        return [], [*obstacles, images]
    return compare(name, shifts, before, now, rules, nested=nested, whole=whole, by=by), obstacles


def _lost(matches: Matches, names: Mapping[int, str], where: str) -> list[tuple[str, str]]:
    """Return the cells of the first group that have no counterpart, with the closest one."""
    lost = []
    for one in matches.lost:
        hint, close = "", nearest(one, matches.extra)
        if close is not None:
            other, fields = close
            differs = (
                f"differs in {' and '.join(fields)}" if fields else "is one of several possible counterparts"
            )
            hint = f"; {names[id(other)]} {differs}"
        lost.append((names[id(one)], f"not in {where}{hint}"))
    return lost
