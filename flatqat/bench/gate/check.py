"""The gate for CI: has accuracy dropped by more than a tolerance, and by more than chance?

It compares the results folder with a baseline, cell by cell of the same role and image by image. Cells under
several seeds are groups of training runs, and the scatter of these is in the p-value.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from flatqat.bench.gate.adopt import baseline_series
from flatqat.bench.gate.baseline import read_baseline
from flatqat.bench.gate.compare import Rules, Verdict, judge
from flatqat.bench.gate.compared import compare_all
from flatqat.bench.gate.only import narrowed
from flatqat.bench.gate.run import runs_in
from flatqat.bench.gate.series import Series, newest, series_of
from flatqat.bench.gate.shift_groups import shift_groups
from flatqat.bench.records.store import Store
from flatqat.errors import listed
from flatqat.exit_codes import IMPROVED, INCOMPLETE, OK, REGRESSED


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What a check found.

    Attributes:
        code: The exit code.
        title: What all cells have in common, or that no suite is in both.
        verdicts: Every comparison.
        missing: What of the baseline could not be compared, and why.
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


def check(store: Store, baseline: Path, rules: Rules | None = None, only: Sequence[str] = ()) -> Checked:
    """Compare a results folder with a baseline, or the part of both that the patterns `only` name.

    The code is 0 if all is fine; 1 if a row regressed; 3 if a cell of the baseline is missing, failed or
    cannot be compared; 4 with `two_sided` if a row improved by as much as a drop that trips. Raises
    StoreError if there is no results folder, or if the baseline is damaged, and UsageError if a pattern names
    nothing.
    """
    rules, stored, all_runs = rules or Rules(), read_baseline(baseline), runs_in(store)
    runs = newest(all_runs)
    now = series_of(runs)
    before, unknown = baseline_series(stored, now)
    compared = compare_all(before, now, rules)
    lost = [(label, "not in the results, or with other shifts") for label in unknown]
    labels = compared.labels | {label: [label] for label in unknown}
    compared = replace(compared, missing=[*lost, *compared.missing], labels=labels)
    shifts = [run.shifts for one in (*before, *now) for run in one.done[:1]]
    rows = dict.fromkeys(name for each in shifts for name, _ in shift_groups(each))
    compared = narrowed(compared, only, rows)
    verdicts = judge(compared.rows, rules)
    return Checked(
        code=code_of(verdicts, rules, complete=not compared.not_compared),
        title=_unlike(before, now) or compared.title,
        verdicts=verdicts,
        missing=compared.not_compared,
        differences=compared.differences,
        extra=compared.extra,
        older=len(all_runs) - len(runs),
    )


def _unlike(before: Sequence[Series], now: Sequence[Series]) -> str:
    """Return a sentence that names the suites of both sides if they share none, else an empty text."""
    suites = [sorted({one.cell.suite for one in side}) for side in (before, now)]
    if not all(suites) or {*suites[0]} & {*suites[1]}:
        return ""
    return f"the baseline is of {listed(suites[0])}, these results are of {listed(suites[1])}"


def code_of(verdicts: list[Verdict], rules: Rules, *, complete: bool = True) -> int:
    """Return the exit code of a check that is `complete` if nothing was missing."""
    results = {v.verdict for v in verdicts}
    if "regressed" in results:
        return REGRESSED
    if not complete or not verdicts:
        return INCOMPLETE
    return IMPROVED if rules.two_sided and "improved" in results else OK
