"""The gate for CI: has accuracy dropped by more than a tolerance, and by more than chance?

It compares the results folder with a baseline, cell by cell of the same role and image by image. Cells under
several seeds are groups of training runs, and the scatter of these is in the p-value.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flatqat.bench.gate.adopt import baseline_series
from flatqat.bench.gate.baseline import read_baseline
from flatqat.bench.gate.comparable import obstacles_of, of_same_weights, other_images
from flatqat.bench.gate.compare import Row, Rules, Verdict, compare, judge
from flatqat.bench.gate.differences import differences
from flatqat.bench.gate.names import short_names
from flatqat.bench.gate.run import Run
from flatqat.bench.gate.series import Matches, Series, match, nearest, newest, series_of
from flatqat.bench.records.store import Store
from flatqat.errors import StoreError

OK, REGRESSED, INCOMPLETE, IMPROVED = 0, 1, 3, 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What a check found.

    Attributes:
        code: The exit code.
        title: What all cells have in common.
        verdicts: Every comparison.
        missing: Cells of the baseline that could not be compared, and why.
        differences: What else differs, and in which cells.
        extra: Cells of the results that are not in the baseline.
        older: The number of results that an edited plugin or a newer version has replaced.
    """

    code: int
    title: str
    verdicts: list[Verdict]
    missing: list[tuple[str, str]]
    differences: dict[str, list[str]]
    extra: list[str]
    older: int


def check(store: Store, baseline: Path, rules: Rules | None = None) -> Checked:
    """Compare a results folder with a baseline.

    The code is 0 if all is fine; 1 if a row regressed; 3 if a cell of the baseline is missing, failed or
    cannot be compared; 4 with `two_sided` if a row improved by as much as a drop that trips. Raises
    StoreError if there is no results folder, or if the baseline is damaged.
    """
    rules, stored, all_runs = rules or Rules(), read_baseline(baseline), _runs_in(store)
    runs = newest(all_runs)
    now = series_of(runs)
    before, unknown = baseline_series(stored, now)
    matches = match(before, now)
    title, names = short_names([new for _, new in matches.pairs], [*matches.lost, *matches.extra])
    rows: list[Row] = []
    missing = [(label, "not in the results, or with other shifts") for label in unknown]
    missing += _lost(matches, names)
    found: dict[str, list[str]] = {}
    for old, new in matches.pairs:
        name = names[id(new)]
        missing += [(name, f"seed {run.cell.seed} {run.reason}") for run in new.runs if run.reason]
        if not new.done:
            continue
        for text in differences(old, new):
            found.setdefault(text, []).append(name)
        compared, obstacles = _compare(name, old, new, rules)
        rows += compared
        missing += [(name, obstacle) for obstacle in obstacles]
    verdicts = judge(rows, rules)
    return Checked(
        code=code_of(verdicts, rules, complete=not missing),
        title=title,
        verdicts=verdicts,
        missing=missing,
        differences=found,
        extra=[names[id(one)] for one in matches.extra],
        older=len(all_runs) - len(runs),
    )


def code_of(verdicts: list[Verdict], rules: Rules, *, complete: bool = True) -> int:
    """Return the exit code of a check that is `complete` if nothing was missing."""
    results = {v.verdict for v in verdicts}
    if "regressed" in results:
        return REGRESSED
    if not complete or not verdicts:
        return INCOMPLETE
    return IMPROVED if rules.two_sided and "improved" in results else OK


def _runs_in(store: Store) -> list[Run]:
    if not store.root.is_dir():
        problem = f"results folder {store.root}: expected a folder, found none"
        raise StoreError(f"{problem}; make one with: flatqat bench run, or name another with --results")
    return [Run.of(record, store) for record in store.records()]


def _compare(name: str, old: Series, new: Series, rules: Rules) -> tuple[list[Row], list[str]]:
    """Return the rows of two series, and why others cannot be compared."""
    if obstacles := obstacles_of(old, new):
        return [], obstacles
    if rules.evaluation_only:
        old, new, obstacles = of_same_weights(old, new)
    if not new.done:
        return [], obstacles
    before, now = ({run.cell.seed: run.values() for run in side.done} for side in (old, new))
    shifts, nested = new.done[0].shifts, new.done[0].nested
    if images := other_images(shifts, before, now):
        return [], [*obstacles, images]
    rows = compare(name, shifts, before, now, rules, nested=nested)
    undefined = [not np.isfinite([row.before, row.now]).all() for row in rows]
    obstacles += [f"{row.what} is undefined" for row, is_so in zip(rows, undefined, strict=True) if is_so]
    return [row for row, is_so in zip(rows, undefined, strict=True) if not is_so], obstacles


def _lost(matches: Matches, names: Mapping[int, str]) -> list[tuple[str, str]]:
    """Return the cells of the baseline that have no counterpart, with the closest one."""
    lost = []
    for one in matches.lost:
        hint, close = "", nearest(one, matches.extra)
        if close is not None:
            other, fields = close
            differs = f"differs in {' and '.join(fields)}" if fields else "is one of several that it may be"
            hint = f"; {names[id(other)]} {differs}"
        lost.append((names[id(one)], f"not in the results{hint}"))
    return lost
