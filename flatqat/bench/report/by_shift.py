"""A section of stored records as a pandas table with a row for each shift, family or severity."""

from typing import TYPE_CHECKING

from flatqat.bench.records.paired import BySeed, Scored, components_of, metric_of, outcomes_by_seed
from flatqat.bench.records.sections import Section, row_label
from flatqat.bench.records.store import Store
from flatqat.bench.report.by_method import View
from flatqat.metrics.missing import mean_of_known
from flatqat.spec import Record, ShiftInfo

if TYPE_CHECKING:
    import pandas as pd

Members = dict[object, list[str]]
"""The shifts behind every row of the table."""


def by_shift(section: Section, view: View, store: Store | None = None) -> "pd.DataFrame":
    """Return the metric in percent, mean over seeds: a column for each (method, bits), rows by `view`.

    With a store, columns `<column> low` and `<column> high` have the 95% interval over seeds and images
    together, or with one seed over images.
    """
    import pandas as pd

    columns: dict[str, dict[object, float | None]] = {}
    for key, records in section.rows.items():
        members, label = _members(records[0], view), row_label(key)
        unmasked: Members = {f"{row} (no mask)": shifts for row, shifts in members.items()}
        metric = metric_of(records[0]).name
        columns[label] = _values(records, members, metric) | _values(records, unmasked, f"{metric}_unmasked")
        if store:
            ends = _intervals(records[0], members, outcomes_by_seed(records, store))
            columns[f"{label} low"], columns[f"{label} high"] = (
                {row: ends[row][end] for row in ends} for end in (0, 1)
            )
    order = dict.fromkeys(row for column in columns.values() for row in column)
    table = pd.DataFrame({name: pd.Series(column, index=list(order)) for name, column in columns.items()})
    return table.rename_axis(view).reset_index()


def _members(record: Record, view: View) -> Members:
    members: Members = {}
    for shift, info in record.protocol.shifts.items():
        if (row := _row(shift, info, view)) is not None:
            members.setdefault(row, []).append(shift)
    return members


def _values(records: list[Record], members: Members, metric: str) -> dict[object, float | None]:
    """Return the mean of each row over seeds and shifts; rows without a value are left out."""
    values = {
        row: mean_of_known(score.value for r in records for s in shifts if (score := r.scores[s].get(metric)))
        for row, shifts in members.items()
    }
    return {row: value for row, value in values.items() if value is not None}


def _intervals(
    record: Record, members: Members, outcomes: BySeed
) -> dict[object, tuple[float | None, float | None]]:
    scored = [Scored(record=record, methods={"": outcomes})]

    def interval(shifts: list[str]) -> tuple[float | None, float | None]:
        components = components_of(scored, lambda _: dict.fromkeys(shifts, 1 / len(shifts)))
        return components.mean(0).of_share() if components else (None, None)

    return {row: interval(shifts) for row, shifts in members.items()}


def _row(shift: str, info: ShiftInfo, view: View) -> object:
    if view == "shift" or shift in ("id", "val"):
        return shift
    if not info.in_mean and view == "severity":
        return None
    return info.family if view == "family" else info.severity
