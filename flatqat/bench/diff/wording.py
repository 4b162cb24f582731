"""A diff in words, whatever the format: its columns, and what is said beside them."""

from flatqat.bench.diff.difference import Diff, Difference, Part
from flatqat.bench.gate.wording import MOST_LISTED, ONE_SEED, p_value
from flatqat.console.rounded import rounded, with_interval
from flatqat.errors import counted, listed

COLUMNS = ("cell", "what", "A", "B", "B - A [95%]", "p")
LEFT = COLUMNS[:2]


def cells(row: Difference, p: float) -> tuple[str, ...]:
    """Return the columns of a row, whose corrected p-value is `p`."""
    e = row.estimate
    if row.identical:
        return row.cell, row.what, rounded(row.a, ".2f"), rounded(row.b, ".2f"), "identical", ""
    interval = with_interval(e.value, e.low, e.high, "+.2f")
    mark = ONE_SEED if row.of_these_runs else " "
    return row.cell, row.what, rounded(row.a, ".2f"), rounded(row.b, ".2f"), interval, f"{p_value(p)}{mark}"


def missing(part: Part) -> list[str]:
    """Return a sentence on everything that could not be compared, one for each reason."""
    cells_by_reason: dict[str, list[str]] = {}
    for cell, reason in part.missing:
        cells_by_reason.setdefault(reason, []).append(cell)
    return [f"not compared: {listed(c, MOST_LISTED)}: {reason}" for reason, c in cells_by_reason.items()]


def differing(part: Part) -> list[str]:
    """Return a sentence on everything that differs besides the numbers, and in which cells."""
    return [f"differs: {text} ({listed(names, MOST_LISTED)})" for text, names in part.differs.items()]


def notes(diff: Diff) -> list[str]:
    """Return what the columns mean."""
    if not diff.rows:
        return []
    tested = [row for row in diff.rows if not row.identical]
    p = f"; p: after Holm's correction over {counted(len(tested), 'row')}" if tested else ""
    said = [f"B - A: points, paired by image{p}"]
    if len(tested) < len(diff.rows):
        said.append("identical: every image has the same outcome on both sides; not among the rows of p")
    if any(row.of_these_runs for row in diff.rows):
        said.append(f"{ONE_SEED} one seed on both sides: over images, for these trainings alone")
    return said
