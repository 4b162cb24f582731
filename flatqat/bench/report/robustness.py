"""Columns that only some suites have, all of top-1: mean corruption error, and effective robustness."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flatqat.bench.records.paired import pools_of
from flatqat.metrics.effective_robustness import effective_robustness
from flatqat.metrics.mce import NORMALIZERS, mce, mce_stderr, relative_mce
from flatqat.metrics.significance import mean_over_seeds
from flatqat.spec import Record

Corrects = Mapping[str, NDArray[np.bool_]]


def robustness_columns(
    records: Sequence[Record], outcomes: Sequence[Corrects], ood_shifts: Sequence[str]
) -> dict[str, float | None]:
    """What the suite's `normalizer` and `baseline` ask for, as means over seeds; empty for other suites.

    mCE in percent with its standard error, over seeds where there are several, else over images; effective
    robustness in points.
    """
    protocol, columns = records[0].protocol, {}
    if name := protocol.get("normalizer"):
        values, relative = zip(*(_mces(record, name) for record in records), strict=True)
        columns["mce"], stderr = _mean(values)
        if len(records) == 1:
            stderr = _stderr_over_images(records[0], outcomes[0], name)
        columns["mce_stderr"], columns["relative_mce"] = stderr, _mean(relative)[0]
    if line := protocol.get("baseline"):
        columns["effective_robustness"] = _mean([_effective(r, ood_shifts, line) for r in records])[0]
    return columns


def corruption_errors(record: Record) -> dict[str, float]:
    """Top-1 error in percent of each corruption of the headline, the mean over severities; those complete."""
    errors: dict[str, list[float | None]] = {}
    for shift, about in record.protocol["shifts"].items():
        if about["in_mean"] and about["severity"] is not None:
            top1 = record.scores[shift]["top1"].value
            errors.setdefault(shift.partition("/")[0], []).append(None if top1 is None else 100 - top1)
    return {
        name: float(np.mean([v for v in values if v is not None]))
        for name, values in errors.items()
        if None not in values
    }


def _mces(record: Record, normalizer: str) -> tuple[float | None, float | None]:
    errors, id_top1 = corruption_errors(record), record.scores["id"]["top1"].value
    if errors.keys() != NORMALIZERS[normalizer][0].keys() or id_top1 is None:
        return None, None
    return mce(errors, normalizer), relative_mce(errors, 100 - id_top1, normalizer)


def _stderr_over_images(record: Record, outcomes: Corrects, normalizer: str) -> float | None:
    """None unless the outcomes of all corruptions are stored, and are of one pool of images."""
    shifts = [s for s in record.protocol["shifts"] if s.partition("/")[0] in NORMALIZERS[normalizer][0]]
    if not shifts or any(s not in outcomes for s in shifts):
        return None
    if len(set(pools_of(record, shifts).values())) > 1:
        return None
    return mce_stderr({s: outcomes[s] for s in shifts}, normalizer)


def _effective(record: Record, shifts: Sequence[str], line: str) -> float | None:
    values: list[Any] = [record.scores[s]["top1"].value for s in ("id", *shifts)]
    if None in values:
        return None
    return effective_robustness(values[0], float(np.mean(values[1:])), line)


def _mean(values: Sequence[float | None]) -> tuple[float | None, float | None]:
    """And its error over seeds; None where one is missing."""
    known = [v for v in values if v is not None]
    return mean_over_seeds(known) if len(known) == len(values) else (None, None)
