"""The IoU of every class, in distribution and in every condition: which classes a method loses, and where."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from flatqat.bench.records.paired import (
    Runs,
    components_of,
    metric_of,
    ood_shifts,
    shares_by_seed,
)
from flatqat.bench.records.sections import Section, row_label
from flatqat.bench.records.store import Store
from flatqat.errors import UsageError
from flatqat.metrics.contributions import equal_weights
from flatqat.metrics.miou import pseudo_values
from flatqat.metrics.missing import mean_of_known
from flatqat.metrics.stacked import Stacked
from flatqat.spec import Record

if TYPE_CHECKING:
    import pandas as pd

Ends = tuple[float | None, float | None]


def check_classes(shown: Sequence[Section]) -> None:
    """Raise UsageError unless all suites have a metric for each class."""
    first = [section.first for section in shown if section.rows]
    if without := sorted({r.cell.suite for r in first if not metric_of(r).by_class}):
        raise UsageError(
            f"--by class: expected segmentation suites, got {', '.join(without)}; use --by shift there, "
            "or name one suite with --suite"
        )


def by_class(section: Section, store: Store) -> "pd.DataFrame":
    """Return `class_columns` as a table."""
    import pandas as pd

    return pd.DataFrame(class_columns(section, store))


def columns_meant(names: Sequence[str], shown: Sequence[Section]) -> list[str]:
    """Return names of columns, those of several in place of what they share: `fog`, `qat 4` or `qat`.

    Case does not matter.
    """
    groups: dict[str, dict[str, None]] = {}
    for section in shown:
        for key, records in section.rows.items():
            for which in _conditions(records[0]):
                for shared in (row_label(key), key[0], which):
                    groups.setdefault(shared.lower(), {})[f"{row_label(key)} {which}"] = None
    return [column for name in names for column in groups.get(name.lower(), [name])]


def class_columns(section: Section, store: Store, *, total: bool = False) -> dict[str, list[Any]]:
    """Return a row for each class, and for each (method, bits) a column for ID, OOD and each condition.

    All are IoU in percent, means over seeds. OOD is the mean over the shifts that have the class, or None if
    none has it. Conditions are columns if the suite has several; shifts with severities have one for their
    family. Next to each column, `<column> low` and `<column> high` are its 95% interval over seeds and images
    together, or with one seed over images; None unless all seeds have outcomes, and the class in the same
    shifts, and where no image changes the IoU. Classes without names are numbered. With `total` the last row
    is the metric over all classes.
    """
    if not section.rows:
        return {}
    first = section.first
    scores = [key for key in first.scores["id"] if key.startswith(f"{metric_of(first).by_class}/")]
    scores.sort(key=_place)  # stored records sort them as text
    names = list(first.protocol.class_names or [str(_place(key)) for key in scores])
    if total:
        names, scores = [*names, metric_of(first).title], [*scores, metric_of(first).name]
    conditions = _conditions(first)
    columns: dict[str, list[Any]] = {"class": names}
    for key, records in section.rows.items():
        ends = _ends(records, Runs.of(records, store), scores, conditions)
        for which, shifts in conditions.items():
            column = f"{row_label(key)} {which}"
            columns[column] = [_mean(records, score, shifts) for score in scores]
            columns[f"{column} low"], columns[f"{column} high"] = map(list, zip(*ends[which], strict=True))
    return columns


def _conditions(record: Record) -> dict[str, list[str]]:
    """Return the shifts behind every column of a method."""
    conditions: dict[str, list[str]] = {}
    for shift in ood_shifts(record):
        info = record.protocol.shifts[shift]
        conditions.setdefault(shift if info.severity is None else info.family, []).append(shift)
    return {"ID": ["id"], "OOD": ood_shifts(record)} | (conditions if len(conditions) > 1 else {})


def _mean(records: Sequence[Record], score: str, shifts: Sequence[str]) -> float | None:
    """Return the mean over shifts, then over seeds, of the values that are known."""
    return mean_of_known(mean_of_known(record.values(score, shifts)) for record in records)


def _ends(
    records: Sequence[Record], runs: Runs, scores: Sequence[str], conditions: Mapping[str, Sequence[str]]
) -> dict[str, list[Ends]]:
    """Return for each condition the intervals of all classes; the values of a class are computed once."""
    ends: dict[str, list[Ends]] = {which: [] for which in conditions}
    shown = {shift for shifts in conditions.values() for shift in shifts}
    for score in scores:
        only = slice(None) if score == metric_of(records[0]).name else [_place(score)]
        values = {
            seed: Stacked.of({s: pseudo_values(run[s][:, :, only]) for s in shown if s in run}, run.ids)
            for seed, run in runs.outcomes.items()
        }
        for which, shifts in conditions.items():
            ends[which].append(_interval(records, values, score, shifts))
    return ends


def _interval(
    records: Sequence[Record],
    values: Mapping[int, Mapping[str, NDArray[Any]]],
    score: str,
    shifts: Sequence[str],
) -> Ends:
    """Return the 95% interval of the IoU of one class, by the jackknife values of its images."""
    known = {
        tuple(s for s, value in zip(shifts, r.values(score, shifts), strict=True) if value is not None)
        for r in records
    }
    present = next(iter(known))
    if len(known) > 1 or not present:
        return None, None
    shares = shares_by_seed(records[0], values, equal_weights(present))
    components = components_of([{"": shares}])
    return metric_of(records[0]).ends(components.mean(0) if components else None)


def _place(score: str) -> int:
    return int(score.partition("/")[2])
