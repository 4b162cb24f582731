"""A diff as text: Markdown for people, CSV and JSON with all digits for programs."""

import csv as csv_format
import io
import json
from collections.abc import Iterator
from itertools import count
from typing import Any

from flatqat.bench.diff.difference import Diff, Part
from flatqat.bench.diff.wording import COLUMNS, LEFT, cells, differing, missing, notes
from flatqat.bench.records.escape import csv, csv_number, literal_cell, literal_line

NUMBERS = ("a", "b", "difference", "low", "high", "p", "seeds_a", "seeds_b", "images")
FIELDS = ("section", "cell", "what", *NUMBERS)


def as_markdown(diff: Diff) -> str:
    """Return a diff as Markdown."""
    from tabulate import tabulate

    p_values, parts = iter(diff.p_values()), [f"A: {literal_line(diff.a)}<br>\nB: {literal_line(diff.b)}"]
    aligned = ["left" if name in LEFT else "right" for name in COLUMNS]
    for part in diff.parts:
        rows = [[literal_cell(text) for text in cells(row, next(p_values))] for row in part.rows]
        table = tabulate(rows, COLUMNS, tablefmt="pipe", disable_numparse=True, colalign=aligned)
        said = "\n".join(f"- {literal_line(line)}" for line in (*missing(part), *differing(part)))
        parts += [f"### {literal_line(part.title)}" * bool(part.title), str(table) * bool(rows), said]
    parts.append("<br>\n".join(map(literal_line, notes(diff))))
    return "\n\n".join(filter(None, parts)) + "\n"


def as_csv(diff: Diff) -> str:
    """Return the differences as CSV."""
    text = io.StringIO()
    writer = csv_format.DictWriter(text, FIELDS, lineterminator="\n")
    writer.writeheader()
    for row in _records(diff):
        writer.writerow({name: csv(v) if isinstance(v, str) else csv_number(v) for name, v in row.items()})
    return text.getvalue()


def as_json(diff: Diff) -> str:
    """Return everything as JSON."""
    rows = _records(diff)
    parts = [_plain(part, [next(rows) for _ in part.rows]) for part in diff.parts]
    return json.dumps({"a": diff.a, "b": diff.b, "parts": parts}, indent=2, allow_nan=False) + "\n"


def _plain(part: Part, rows: list[dict[str, Any]]) -> dict[str, Any]:
    reasons = [{"cell": cell, "reason": reason} for cell, reason in part.missing]
    return {"title": part.title, "rows": rows, "missing": reasons, "differs": dict(part.differs)}


def _records(diff: Diff) -> Iterator[dict[str, Any]]:
    """Yield the fields of every row."""
    p_values, place = diff.p_values(), count()
    for part in diff.parts:
        for row in part.rows:
            e = row.estimate
            values = (row.a, row.b, e.value, e.low, e.high, p_values[next(place)], *row.seeds, e.images)
            texts = {"section": part.title, "cell": row.cell, "what": row.what}
            yield texts | dict(zip(NUMBERS, values, strict=True))
