"""Columns that only suites scored by top-1 may have: mean corruption error and effective robustness."""

from collections.abc import Sequence

from flatqat.bench.records.paired import Runs
from flatqat.metrics.effective_robustness import effective_robustness
from flatqat.metrics.estimate import Estimate
from flatqat.metrics.mce import NORMALIZERS, mce, mce_weights, relative_mce
from flatqat.metrics.missing import mean_if_complete
from flatqat.spec import Record


def robustness_columns(
    records: Sequence[Record], runs: Runs, ood_shifts: Sequence[str]
) -> dict[str, float | None]:
    """Return the columns that the suite's `normalizer` and `baseline` add, as means over seeds.

    mCE is in percent, with its standard error and half the width of its 95% interval over seeds and images;
    effective robustness is in points.
    """
    protocol, columns = records[0].protocol, {}
    if name := protocol.normalizer:
        values, relative = zip(*(_mces(record, name) for record in records), strict=True)
        columns["mce"] = mean_if_complete(values)
        error = _error_of_mce(runs, name)
        columns["mce_stderr"] = error.stderr if error else None
        columns["mce_half_width"] = error.half_width() if error else None
        columns["relative_mce"] = mean_if_complete(relative)
    if line := protocol.baseline:
        effective = (_effective(record, ood_shifts, line) for record in records)
        columns["effective_robustness"] = mean_if_complete(effective)
    return columns


def corruption_errors(record: Record) -> dict[str, float]:
    """Return the top-1 error in percent of each corruption, the mean over severities if all are known."""
    errors: dict[str, list[float | None]] = {}
    shifts = [s for s, info in record.protocol.shifts.items() if info.in_mean and info.severity is not None]
    for shift, top1 in zip(shifts, record.values("top1", shifts), strict=True):
        errors.setdefault(shift.partition("/")[0], []).append(None if top1 is None else 100 - top1)
    means = {name: mean_if_complete(values) for name, values in errors.items()}
    return {name: mean for name, mean in means.items() if mean is not None}


def _mces(record: Record, normalizer: str) -> tuple[float | None, float | None]:
    errors, id_top1 = corruption_errors(record), record.scores["id"]["top1"].value
    if errors.keys() != NORMALIZERS[normalizer][0].keys() or id_top1 is None:
        return None, None
    return mce(errors, normalizer), relative_mce(errors, 100 - id_top1, normalizer)


def _error_of_mce(runs: Runs, normalizer: str) -> Estimate | None:
    """Return mCE less a constant, with its error; None unless all its corruptions are scored and stored."""
    per_error = mce_weights(normalizer)
    shifts = [s for s in runs.record.protocol.shifts if s.partition("/")[0] in per_error]
    if not shifts:
        return None
    weights = {s: -per_error[s.partition("/")[0]] for s in shifts}  # top-1 is 100 minus the error
    components = runs.components(weights)
    return components.mean(0) if components else None


def _effective(record: Record, shifts: Sequence[str], line: str) -> float | None:
    id_top1 = record.scores["id"]["top1"].value
    ood = mean_if_complete(record.values("top1", shifts))
    return None if id_top1 is None or ood is None else effective_robustness(id_top1, ood, line)
