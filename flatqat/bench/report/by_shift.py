"""A section of stored records as a table with a row for each shift, family or severity."""

from collections.abc import Mapping, Sequence, Set
from typing import TYPE_CHECKING

from flatqat.bench.records.paired import Runs, metric_of
from flatqat.bench.records.sections import Section, row_label
from flatqat.bench.records.store import Store
from flatqat.bench.report.by_method import View
from flatqat.metrics.contributions import equal_weights
from flatqat.metrics.metric import Metric
from flatqat.metrics.missing import mean_of_known
from flatqat.spec import Record, ShiftInfo

if TYPE_CHECKING:
    import pandas as pd

Members = dict[object, list[str]]
"""The shifts behind every row of the table."""
Column = dict[object, float | None]


def by_shift(section: Section, view: View, store: Store | None = None) -> "pd.DataFrame":
    """Return `shift_columns` as a table, its rows in a column called like the view."""
    import pandas as pd

    columns = shift_columns(section, view, store)
    order = rows_of(columns)
    table = pd.DataFrame({name: pd.Series(column, index=order) for name, column in columns.items()})
    return table.rename_axis(view).reset_index()


def shift_columns(section: Section, view: View, store: Store | None = None) -> dict[str, Column]:
    """Return the metric in percent, mean over seeds: a column for each (method, bits), rows by `view`.

    With a store, columns `<column> low` and `<column> high` have the 95% interval over seeds and images
    together, or with one seed over images.
    """
    columns: dict[str, Column] = {}
    for key, records in section.rows.items():
        members, label = _members(records[0], view), row_label(key)
        unmasked: Members = {f"{row} (no mask)": shifts for row, shifts in members.items()}
        metric = metric_of(records[0])
        columns[label] = _values(records, members, metric.name)
        columns[label] |= _values(records, unmasked, f"{metric.name}_unmasked")
        if store:
            ends = _intervals(members, Runs.of(records, store), metric)
            columns[f"{label} low"], columns[f"{label} high"] = (
                {row: ends[row][end] for row in ends} for end in (0, 1)
            )
    return columns


def rows_of(columns: Mapping[str, Column]) -> list[object]:
    """Return the names of the rows that any of the columns has, ID first and `val` last."""
    rows = dict.fromkeys(row for column in columns.values() for row in column)
    return sorted(rows, key=lambda row: {"id": 0, "val": 2}.get(str(row), 1))


def _members(record: Record, view: View) -> Members:
    members: Members = {}
    counted = {info.family for info in record.protocol.shifts.values() if info.in_mean}
    for shift, info in record.protocol.shifts.items():
        if (row := _row(shift, info, view, counted)) is not None:
            members.setdefault(row, []).append(shift)
    return members


def _values(records: Sequence[Record], members: Members, metric: str) -> Column:
    """Return the mean of each row over seeds and shifts; rows without a value are left out."""
    known = {r.cell.id: {s for s, metrics in r.columns.metrics.items() if metric in metrics} for r in records}
    values = {
        row: mean_of_known(
            value for r in records for value in r.values(metric, [s for s in shifts if s in known[r.cell.id]])
        )
        for row, shifts in members.items()
    }
    return {row: value for row, value in values.items() if value is not None}


def _intervals(
    members: Members, runs: Runs, metric: Metric
) -> dict[object, tuple[float | None, float | None]]:
    found = {row: runs.components(equal_weights(s)) for row, s in members.items()}
    return {row: metric.ends(one.mean(0) if one else None) for row, one in found.items()}


def _row(shift: str, info: ShiftInfo, view: View, counted: Set[str]) -> object:
    """Return the row of a shift; None for one that does not count in it.

    A family without any shift that counts in OOD, such as `extra`, is shown all the same.
    """
    if view == "shift" or shift in ("id", "val"):
        return shift
    if view == "severity":
        return info.severity if info.in_mean else None
    return info.family if info.in_mean or info.family not in counted else None
