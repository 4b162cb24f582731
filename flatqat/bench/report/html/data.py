"""The numbers of the page for its script, and for any program: the tables of `--format csv`, once."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from flatqat.bench.report.by_shift import Column, rows_of
from flatqat.console.printable import printable

DIGITS = 6  # significant ones, those of CSV


def of_rows(rows: Sequence[Mapping[Any, Any]]) -> dict[str, Any]:
    """Return rows of one kind as a table of columns and rows."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    return _table(columns, [[row.get(name) for name in columns] for row in rows])


def of_columns(view: str, columns: Mapping[str, Column], decimals: int | None = None) -> dict[str, Any]:
    """Return columns by row as a table, whose first column names the row; rounded if `decimals` is given."""
    rows = [[row, *(_rounded(of.get(row), decimals) for of in columns.values())] for row in rows_of(columns)]
    return _table([view, *columns], rows)


def of_lists(columns: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """Return columns of equal length as a table."""
    return _table(list(columns), list(zip(*columns.values(), strict=True)))


def plain(value: Any) -> Any:
    """Return a number as CSV has it, a text without control characters, and what is not known as None."""
    if isinstance(value, str):
        return printable(value)
    if not isinstance(value, float):
        return value
    if not math.isfinite(value):
        return None
    short = float(f"{value:.{DIGITS}g}")
    return int(short) if short.is_integer() else short


def _rounded(value: float | None, decimals: int | None) -> float | None:
    return value if value is None or decimals is None else round(value, decimals)


def _table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> dict[str, Any]:
    return {"columns": list(map(printable, columns)), "rows": [list(map(plain, row)) for row in rows]}


def as_script(value: Any) -> str:
    """Return JSON that may stand in a script element, which no text in it can end."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text
