"""The IoU of every class, in distribution and under shift: which classes a method loses."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from flatqat.bench.records.paired import metric_of, ood_shifts
from flatqat.bench.records.sections import Section, row_label
from flatqat.errors import UsageError
from flatqat.metrics.missing import mean_of_known
from flatqat.spec import Record

if TYPE_CHECKING:
    import pandas as pd

CAPTION = (
    "IoU in percent, of the confusion matrix of a whole shift. OOD: the mean over those shifts in which the "
    "class is present or predicted."
)


def check_classes(shown: Sequence[Section]) -> None:
    """Raise UsageError unless all suites have a metric for each class."""
    first = [rows[0] for section in shown for rows in list(section.rows.values())[:1]]
    if without := sorted({r.cell.suite for r in first if not metric_of(r).by_class}):
        raise UsageError(
            f"--by class: expected segmentation suites, got {', '.join(without)}; use --by shift there, "
            "or name one suite with --suite"
        )


def by_class(section: Section) -> "pd.DataFrame":
    """Return a row for each class and two columns for each (method, bits): ID and OOD IoU in percent.

    Both are means over seeds. OOD is the mean over the shifts that have the class, or None if none has it.
    Classes without names are numbered.
    """
    import pandas as pd

    if not section.rows:
        return pd.DataFrame()
    first = next(iter(section.rows.values()))[0]
    scores = [key for key in first.scores["id"] if key.startswith(f"{metric_of(first).by_class}/")]
    scores.sort(key=lambda key: int(key.partition("/")[2]))  # stored records sort them as text
    names = first.protocol.class_names or [key.partition("/")[2] for key in scores]
    columns: dict[str, list[Any]] = {"class": list(names)}
    for key, records in section.rows.items():
        for which, shifts in (("ID", ["id"]), ("OOD", ood_shifts(first))):
            columns[f"{row_label(key)} {which}"] = [_mean(records, score, shifts) for score in scores]
    return pd.DataFrame(columns)


def _mean(records: Sequence[Record], metric: str, shifts: Sequence[str]) -> float | None:
    """Return the mean over shifts, then over seeds, of the values that are known."""
    by_seed = (mean_of_known(record.scores[shift][metric].value for shift in shifts) for record in records)
    return mean_of_known(mean for mean in by_seed)
