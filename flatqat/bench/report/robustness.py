"""Columns that only suites scored by top-1 may have: mean corruption error and effective robustness."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from flatqat.bench.records.paired import image_sets_of
from flatqat.metrics.effective_robustness import effective_robustness
from flatqat.metrics.mce import NORMALIZERS, mce, mce_stderr, relative_mce
from flatqat.metrics.missing import mean_if_complete
from flatqat.spec import Record

Corrects = Mapping[str, NDArray[np.bool_]]


def robustness_columns(
    records: Sequence[Record], outcomes: Sequence[Corrects], ood_shifts: Sequence[str]
) -> dict[str, float | None]:
    """Return the columns that the suite's `normalizer` and `baseline` add, as means over seeds.

    mCE is in percent, its standard error over seeds where there are several, else over images; effective
    robustness is in points.
    """
    protocol, columns = records[0].protocol, {}
    if name := protocol.normalizer:
        values, relative = zip(*(_mces(record, name) for record in records), strict=True)
        columns["mce"], stderr = mean_if_complete(values)
        if len(records) == 1:
            stderr = _stderr_over_images(records[0], outcomes[0], name)
        columns["mce_stderr"], columns["relative_mce"] = stderr, mean_if_complete(relative).value
    if line := protocol.baseline:
        effective = (_effective(record, ood_shifts, line) for record in records)
        columns["effective_robustness"] = mean_if_complete(effective).value
    return columns


def corruption_errors(record: Record) -> dict[str, float]:
    """Return the top-1 error in percent of each corruption, the mean over severities if all are known."""
    errors: dict[str, list[float | None]] = {}
    for shift, info in record.protocol.shifts.items():
        if info.in_mean and info.severity is not None:
            top1 = record.scores[shift]["top1"].value
            errors.setdefault(shift.partition("/")[0], []).append(None if top1 is None else 100 - top1)
    means = {name: mean_if_complete(values).value for name, values in errors.items()}
    return {name: mean for name, mean in means.items() if mean is not None}


def _mces(record: Record, normalizer: str) -> tuple[float | None, float | None]:
    errors, id_top1 = corruption_errors(record), record.scores["id"]["top1"].value
    if errors.keys() != NORMALIZERS[normalizer][0].keys() or id_top1 is None:
        return None, None
    return mce(errors, normalizer), relative_mce(errors, 100 - id_top1, normalizer)


def _stderr_over_images(record: Record, outcomes: Corrects, normalizer: str) -> float | None:
    """Return the standard error of mCE, or None unless all outcomes are stored and of one image set."""
    shifts = [s for s in record.protocol.shifts if s.partition("/")[0] in NORMALIZERS[normalizer][0]]
    if not shifts or any(s not in outcomes for s in shifts):
        return None
    if len(set(image_sets_of(record, shifts).values())) > 1:
        return None
    return mce_stderr({s: outcomes[s] for s in shifts}, normalizer)


def _effective(record: Record, shifts: Sequence[str], line: str) -> float | None:
    id_top1 = record.scores["id"]["top1"].value
    ood = mean_if_complete(record.scores[shift]["top1"].value for shift in shifts).value
    return None if id_top1 is None or ood is None else effective_robustness(id_top1, ood, line)
