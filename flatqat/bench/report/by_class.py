"""The IoU of every class, in distribution and under shift: which of them a method loses."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from flatqat.bench.records.paired import metric_of, ood_shifts
from flatqat.bench.records.sections import Section, row_label
from flatqat.errors import UsageError
from flatqat.metrics.significance import mean_over_seeds
from flatqat.spec import Record

if TYPE_CHECKING:
    import pandas as pd

CAPTION = (
    "IoU in percent, of the confusion matrix of a whole shift. OOD: the mean over those shifts in which the "
    "class is there or predicted."
)


def check_classes(found: Sequence[Section]) -> None:
    """Raise UsageError unless all suites have a metric for each class."""
    first = [rows[0] for section in found for rows in list(section.rows.values())[:1]]
    if without := sorted({r.cell.suite for r in first if not metric_of(r).by_class}):
        raise UsageError(
            f"--by class: expected segmentation suites, got {', '.join(without)}; use --by shift there, "
            "or name one suite with --suite"
        )


def by_class(section: Section) -> "pd.DataFrame":
    """A row a class, two columns a (method, bits): IoU in percent, ID and OOD, means over seeds.

    OOD is the mean over the shifts of the headline that have the class; None where none has. Classes without
    names are numbered.
    """
    import pandas as pd

    if not section.rows:
        return pd.DataFrame()
    first = next(iter(section.rows.values()))[0]
    scores = [key for key in first.scores["id"] if key.startswith(f"{metric_of(first).by_class}/")]
    scores.sort(key=lambda key: int(key.partition("/")[2]))  # stored records sort them as text
    names = first.protocol.get("class_names") or [key.partition("/")[2] for key in scores]
    columns: dict[str, list[Any]] = {"class": list(names)}
    for key, records in section.rows.items():
        for which, shifts in (("ID", ["id"]), ("OOD", ood_shifts(first))):
            columns[f"{row_label(key)} {which}"] = [_mean(records, score, shifts) for score in scores]
    return pd.DataFrame(columns)


def _mean(records: Sequence[Record], metric: str, shifts: Sequence[str]) -> float | None:
    """Over shifts, then over seeds; of those that have a value."""
    by_seed = []
    for record in records:
        values = [record.scores[shift][metric].value for shift in shifts]
        known = [value for value in values if value is not None]
        by_seed += [sum(known) / len(known)] if known else []
    return mean_over_seeds(by_seed)[0] if by_seed else None
