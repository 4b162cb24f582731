"""The check of the gate in words, whatever the format: its verdict, its numbers, and what these mean."""

from collections import Counter

from flatqat.bench.gate.check import Checked
from flatqat.bench.gate.compare import Rules, Verdict
from flatqat.console.rounded import rounded
from flatqat.errors import counted, listed
from flatqat.exit_codes import IMPROVED, INCOMPLETE, OK, REGRESSED

COLUMNS = ("cell", "what", "before", "now", "change", "catches", "p", "verdict")
MEANING = {
    OK: "fine: no significant drop beyond the tolerance",
    REGRESSED: "REGRESSED",
    INCOMPLETE: "INCOMPLETE: nothing was compared, or part of the baseline could not be",
    IMPROVED: "IMPROVED: make a new baseline if this is meant",
}
ONE_SEED = "*"
LEAST_P = 1e-9
LEAST_SHOWN = 0.005  # points
MOST_LISTED = 6


def conclusion(checked: Checked, rules: Rules) -> str:
    """Return the verdict on the whole check, with its rules and counts."""
    scale = f"tolerance {rules.max_drop:g} points, p < {rules.p:g}"
    trips = Counter(v.verdict for v in checked.verdicts)
    counts = ", ".join(f"{n} {verdict}" for verdict, n in trips.items())
    return f"{MEANING[checked.code]} ({scale}{'; ' * bool(counts)}{counts})"


def differing(checked: Checked) -> list[str]:
    """Return a sentence on everything that differs besides the numbers, and in which cells."""
    compared, said = {v.cell for v in checked.verdicts}, []
    for text, cells in checked.differences.items():
        everywhere = len(compared) > 1 and compared <= set(cells)
        said.append(f"differs: {text}" + ("" if everywhere else f" ({listed(cells, MOST_LISTED)})"))
    return said


def beside(checked: Checked) -> list[str]:
    """Return a sentence on the cells that the baseline does not have, if there are any."""
    extra = listed(checked.extra, MOST_LISTED)
    return [f"in the results, not in the baseline: {extra}"] if checked.extra else []


def numbers(v: Verdict, rules: Rules) -> tuple[str, str, str, str, str]:
    """Return the columns from `before` to `p` of a row."""
    caught = "-" if v.catches is None else f"{v.catches:.2f}"
    mark = ONE_SEED if _has_one_seed(v) and not rules.evaluation_only else " "
    return *_points(v), caught, f"{p_value(v.p)}{mark}"


def sentence(v: Verdict) -> str:
    """Return a row on one line, without its cell: `ood: 81.20 → 78.90 (-2.30 points, p 0.0004)`."""
    before, now, change = _points(v)
    return f"{v.what}: {before} → {now} ({change} points, p {p_value(v.p)})"


def _points(v: Verdict) -> tuple[str, str, str]:
    return rounded(v.before, ".2f"), rounded(v.now, ".2f"), rounded(v.change, "+.2f")


def p_value(p: float) -> str:
    """Return a p-value as text."""
    return f"{p:.2g}" if p >= LEAST_P else f"<{LEAST_P:.0e}"


def notes(checked: Checked, rules: Rules, *, table: bool = True) -> list[str]:
    """Return what the columns mean in this check, if a `table` of rows is shown, and what was left out."""
    said = _columns(checked, rules) if table and checked.verdicts else []
    if checked.older:
        said.append(f"left out: {checked.older} of older revisions of the code, which newer ones replace")
    return said


def _columns(checked: Checked, rules: Rules) -> list[str]:
    """Return what the columns mean."""
    level = f"p < {rules.p:g} after correction for {counted(len(checked.verdicts), 'row')}"
    said = [f"catches: the true drop that is found in 4 of 5 runs, at {level}"]
    if any(v.catches is None for v in checked.verdicts):
        said.append("-: even a drop to zero is found less often than that; such a row can hardly fail")
    if any(v.catches is not None and v.catches < LEAST_SHOWN for v in checked.verdicts):
        said.append("0.00: no image differs between the two sides, so the estimated variance is zero")
    if any(v.verdict == "undecided" for v in checked.verdicts):
        said.append("undecided: a drop beyond the tolerance that may be chance; more seeds or images tell")
    if rules.evaluation_only:
        said.append("both sides evaluate the same weights: p is of images alone")
    elif any(map(_has_one_seed, checked.verdicts)):
        spread = f"a scatter of {rules.retraining_sd:g} points between trainings (--retraining-sd)"
        alone = "of images alone: it speaks of these two trainings, not of the code"
        known = f"of images and of {spread}, which one seed cannot show"
        said.append(f"{ONE_SEED} one seed on both sides: p is {known if rules.retraining_sd else alone}")
    return said


def _has_one_seed(verdict: Verdict) -> bool:
    return verdict.seeds_before == verdict.seeds_now == 1
