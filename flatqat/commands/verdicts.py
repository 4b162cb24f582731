"""The check of the gate, printed: what differs, every comparison, and the verdict."""

import json
from collections import Counter
from dataclasses import asdict
from itertools import groupby
from textwrap import wrap
from typing import TYPE_CHECKING

from flatqat.bench.gate.check import IMPROVED, INCOMPLETE, OK, REGRESSED, Checked
from flatqat.bench.gate.compare import Rules, Verdict
from flatqat.console.printable import printable
from flatqat.console.terminal import plain_table, terminal
from flatqat.errors import listed

if TYPE_CHECKING:
    from rich.table import Table

FORMATS = ("table", "json")
COLUMNS = ("cell", "what", "before", "now", "change", "catches", "p", "verdict")
MEANING = {
    OK: "fine: nothing dropped beyond doubt",
    REGRESSED: "REGRESSED",
    INCOMPLETE: "INCOMPLETE: nothing was measured, or a part of the baseline has no counterpart",
    IMPROVED: "IMPROVED: make a new baseline if this is meant",
}
ONE_SEED = "*"
MOST_LISTED, LEAST_P = 6, 1e-9
OTHERS_WIDTH, LEAST_WIDTH = 64, 12  # of all columns but the cell, and of that one


def show_check(checked: Checked, rules: Rules, only_changed: bool) -> None:
    """Print a check: what differs besides the numbers stands first, the verdict last."""
    console, compared = terminal(), {v.cell for v in checked.verdicts}

    def say(text: str, style: str | None = None) -> None:
        console.print(printable(text), style=style, markup=False, highlight=False)

    if checked.title:
        say(checked.title, "bold")
    for text, cells in checked.differences.items():
        where = "" if len(compared) > 1 and compared <= set(cells) else f" ({listed(cells, MOST_LISTED)})"
        say(f"differs: {text}{where}")
    shown = [v for v in checked.verdicts if v.verdict != "ok" or not only_changed]
    if shown:
        console.print(_table(shown, rules, console.width))
    if hidden := len(checked.verdicts) - len(shown):
        say(f"{hidden} rows that are fine are not shown")
    for note in _notes(checked, rules):
        say(note, "dim")
    if checked.extra:
        say(f"in the results, not in the baseline: {listed(checked.extra, MOST_LISTED)}")
    for cell, reason in checked.missing:
        say(f"missing: {cell}: {reason}", "bold red")
    scale = f"tolerance {rules.max_drop:g} points, p < {rules.p:g}"
    trips = Counter(v.verdict for v in checked.verdicts)
    counts = ", ".join(f"{n} {verdict}" for verdict, n in trips.items())
    say(f"{MEANING[checked.code]} ({scale}{'; ' * bool(counts)}{counts})")


def as_json(checked: Checked, rules: Rules) -> str:
    """Return a check as JSON."""
    missing = [{"cell": cell, "reason": reason} for cell, reason in checked.missing]
    fields = {"meaning": MEANING[checked.code], **asdict(checked), "missing": missing, "rules": asdict(rules)}
    return json.dumps(fields, indent=2, allow_nan=False) + "\n"


def _table(verdicts: list[Verdict], rules: Rules, width: int) -> "Table":
    """Return the comparisons as a table, the name of each cell once; it goes on beside the cell's rows."""
    from rich.text import Text

    table = plain_table(*COLUMNS, wrapped=("cell", "what"))
    for cell, group in groupby(verdicts, key=lambda v: v.cell):
        rows, name = list(group), wrap(printable(cell), max(width - OTHERS_WIDTH, LEAST_WIDTH))
        last = len(rows) - 1
        for k, v in enumerate(rows):
            part = "\n".join(name[k : k + 1] if k < last else name[k:])
            style = {"regressed": "bold red", "improved": "green"}.get(v.verdict, "")
            table.add_row(Text(part), Text(printable(v.what)), *_numbers(v, rules), v.verdict, style=style)
    return table


def _numbers(v: Verdict, rules: Rules) -> tuple[str, ...]:
    marked = ONE_SEED if _has_one_seed(v) and not rules.evaluation_only else " "
    caught = "-" if v.catches is None else f"{v.catches:.2f}"
    return f"{v.before:.2f}", f"{v.now:.2f}", f"{v.change:+.2f}", caught, f"{_p_value(v.p)}{marked}"


def _p_value(p: float) -> str:
    return f"{p:.2g}" if p >= LEAST_P else f"<{LEAST_P:.0e}"


def _notes(checked: Checked, rules: Rules) -> list[str]:
    """Return what the columns mean in this check."""
    notes = []
    if checked.verdicts:
        level = f"p < {rules.p:g} after correction for {len(checked.verdicts)} rows"
        none = "; -: none of up to 50 points" * any(v.catches is None for v in checked.verdicts)
        notes.append(f"catches: the true drop that is found in 4 of 5 runs, at {level}{none}")
    if any(v.verdict == "undecided" for v in checked.verdicts):
        notes.append("undecided: a drop beyond the tolerance that may be chance; more seeds or images tell")
    if rules.evaluation_only:
        notes.append("both sides evaluate the same weights: p is of images alone")
    elif any(map(_has_one_seed, checked.verdicts)):
        spread = f"a scatter of {rules.retraining_sd:g} points between trainings (--retraining-sd)"
        alone = "of images alone: it speaks of these two trainings, not of the code"
        known = f"of images and of {spread}, which one seed cannot show"
        notes.append(f"{ONE_SEED} one seed on both sides: p is {known if rules.retraining_sd else alone}")
    if checked.older:
        notes.append(f"left out: {checked.older} of older revisions of the code, which newer ones replace")
    return notes


def _has_one_seed(verdict: Verdict) -> bool:
    return verdict.seeds_before == verdict.seeds_now == 1
