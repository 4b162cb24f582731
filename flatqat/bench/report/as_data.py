"""Tables with all digits for programs: CSV and JSON."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from flatqat.bench.records.escape import csv
from flatqat.bench.records.sections import POOLED, Section

if TYPE_CHECKING:
    import pandas as pd


def as_json(frames: "Sequence[tuple[Section, pd.DataFrame]]") -> str:
    """Return a list of sections, each with its rows and the cells that failed."""
    return json.dumps([_section(section, table) for section, table in frames], indent=2) + "\n"


def as_csv(frames: "Sequence[tuple[Section, pd.DataFrame]]") -> str:
    """Return all sections under one header, the title of its section first in each row."""
    import pandas as pd

    titled = [
        _safe(table.assign(section=section.title)).rename(columns=csv)
        for section, table in frames
        if section.rows
    ]
    if not titled:
        return "section\n"
    table = pd.concat(titled)
    columns = ["section", *(name for name in table.columns if name != "section")]
    return str(table[columns].to_csv(index=False, float_format="%.6g", lineterminator="\n"))


def _section(section: Section, table: "pd.DataFrame") -> dict[str, Any]:
    rows = json.loads(table.to_json(orient="records", double_precision=10))
    failed = [{"cell": r.cell.label, "status": r.status, "reason": r.reason} for r in section.problems]
    pooled = section.pools_fewer and "extra_gap" in table and table["extra_gap"].notna().any()
    protocol = f"{section.protocol}. extra_gap: {POOLED}" if pooled else section.protocol
    return {"title": section.title, "protocol": protocol, "rows": rows, "problems": failed}


def _safe(table: "pd.DataFrame") -> "pd.DataFrame":
    """Return a table whose texts are safe in a spreadsheet; columns of numbers stay as they are."""
    from pandas.api.types import is_numeric_dtype

    texts = [name for name in table.columns if not is_numeric_dtype(table[name])]
    return table.assign(**{name: table[name].map(_cell) for name in texts})


def _cell(value: Any) -> Any:
    return csv(value) if isinstance(value, str) else value
