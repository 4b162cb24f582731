"""The IoU of every class, in distribution and in every condition: which classes a method loses, and where."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from flatqat.bench.records.paired import (
    BySeed,
    image_sets_of,
    is_nested,
    metric_of,
    ood_shifts,
    outcomes_by_seed,
)
from flatqat.bench.records.sections import Section, row_label
from flatqat.bench.records.store import Store
from flatqat.errors import UsageError
from flatqat.metrics.components import Components
from flatqat.metrics.contributions import contributions
from flatqat.metrics.miou import pseudo_values
from flatqat.metrics.missing import mean_of_known
from flatqat.spec import Record

if TYPE_CHECKING:
    import pandas as pd


def check_classes(shown: Sequence[Section]) -> None:
    """Raise UsageError unless all suites have a metric for each class."""
    first = [rows[0] for section in shown for rows in list(section.rows.values())[:1]]
    if without := sorted({r.cell.suite for r in first if not metric_of(r).by_class}):
        raise UsageError(
            f"--by class: expected segmentation suites, got {', '.join(without)}; use --by shift there, "
            "or name one suite with --suite"
        )


def by_class(section: Section, store: Store) -> "pd.DataFrame":
    """Return a row for each class, and for each (method, bits) a column for ID, OOD and each condition.

    All are IoU in percent, means over seeds. OOD is the mean over the shifts that have the class, or None if
    none has it. Conditions are columns if the suite has several; shifts with severities have one for their
    family. Next to each column, `<column> low` and `<column> high` are its 95% interval over seeds and images
    together, or with one seed over images; None unless all seeds have outcomes, and the class in the same
    shifts. Classes without names are numbered.
    """
    import pandas as pd

    if not section.rows:
        return pd.DataFrame()
    first = next(iter(section.rows.values()))[0]
    scores = [key for key in first.scores["id"] if key.startswith(f"{metric_of(first).by_class}/")]
    scores.sort(key=_place)  # stored records sort them as text
    names = first.protocol.class_names or [str(_place(key)) for key in scores]
    columns: dict[str, list[Any]] = {"class": list(names)}
    for key, records in section.rows.items():
        outcomes = outcomes_by_seed(records, store)
        for which, shifts in _conditions(first).items():
            column = f"{row_label(key)} {which}"
            columns[column] = [_mean(records, score, shifts) for score in scores]
            ends = [_interval(records, outcomes, score, shifts) for score in scores]
            columns[f"{column} low"], columns[f"{column} high"] = map(list, zip(*ends, strict=True))
    return pd.DataFrame(columns)


def _conditions(record: Record) -> dict[str, list[str]]:
    """Return the shifts behind every column of a method."""
    conditions: dict[str, list[str]] = {}
    for shift in ood_shifts(record):
        info = record.protocol.shifts[shift]
        conditions.setdefault(shift if info.severity is None else info.family, []).append(shift)
    return {"ID": ["id"], "OOD": ood_shifts(record)} | (conditions if len(conditions) > 1 else {})


def _mean(records: Sequence[Record], score: str, shifts: Sequence[str]) -> float | None:
    """Return the mean over shifts, then over seeds, of the values that are known."""
    by_seed = (mean_of_known(record.scores[shift][score].value for shift in shifts) for record in records)
    return mean_of_known(by_seed)


def _interval(
    records: Sequence[Record], outcomes: BySeed, score: str, shifts: Sequence[str]
) -> tuple[float | None, float | None]:
    """Return the 95% interval of the IoU of one class, by the jackknife values of its images."""
    known = {tuple(s for s in shifts if r.scores[s][score].value is not None) for r in records}
    present, only = next(iter(known)), [_place(score)]
    if len(known) > 1 or not present or not all(outcomes.values()):
        return None, None
    pools = contributions(
        [list(outcomes.values())],
        image_sets_of(records[0], present),
        dict.fromkeys(present, 1 / len(present)),
        lambda counts: pseudo_values(counts[:, :, only]),
    )
    if any(pool.shape[2] < 2 or not np.isfinite(pool).all() for pool in pools):
        return None, None
    return Components.of(pools, nested=is_nested(records[0])).mean(0).of_share()


def _place(score: str) -> int:
    return int(score.partition("/")[2])
