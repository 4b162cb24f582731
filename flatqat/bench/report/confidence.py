"""Columns on the confidence of a network, which records have that were made since it is kept."""

from collections.abc import Sequence

from flatqat.bench.records.paired import seed_mean
from flatqat.spec import Record


def confidence_columns(records: Sequence[Record], shifts: Sequence[str]) -> dict[str, float | None]:
    """Return the Brier score ID and OOD, and the AUROC in percent of telling shifts from ID.

    They are means over seeds, and OOD over shifts; None where a record lacks the number on one of them.
    """
    return {
        "id_brier": _mean(records, "brier", ["id"]),
        "ood_brier": _mean(records, "brier", shifts),
        "ood_auroc": _mean(records, "auroc", shifts),
    }


def _mean(records: Sequence[Record], score: str, shifts: Sequence[str]) -> float | None:
    if not all(score in r.columns.metrics[shift] for r in records for shift in shifts):
        return None
    return seed_mean(records, score, shifts)
