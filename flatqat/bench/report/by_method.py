"""A section of stored records as a pandas table: a row for each method, or a column for each method."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from flatqat.bench.records.files import Arrays
from flatqat.bench.records.paired import (
    BySeed,
    extra_gap_of,
    image_sets_of,
    metric_of,
    ood_shifts,
    outcomes_by_seed,
)
from flatqat.bench.records.sections import Section, reference_of, row_label
from flatqat.bench.records.store import Store
from flatqat.bench.report.robustness import robustness_columns
from flatqat.metrics.metric import Metric
from flatqat.metrics.missing import mean_if_complete, mean_of_known
from flatqat.spec import Record, ShiftInfo
from flatqat.spec.flatness import number

if TYPE_CHECKING:
    import pandas as pd

View = Literal["method", "shift", "family", "severity", "class"]
VIEWS: tuple[View, ...] = ("method", "shift", "family", "severity", "class")
SHARPNESS_RADIUS = "0.1"


def by_method(section: Section, store: Store) -> "pd.DataFrame":
    """Return a row for each (method, bits), of means over seeds.

    Its columns are the suite's metric ID and OOD in percent, their gap, the gap beyond that of the reference
    with its 95% bootstrap interval, NLL and ECE on the shifts, and flatness. A standard error is over seeds
    where there are several, else over images. `pooled` is the metric of the images of all shifts together,
    for metrics where that is not the mean over shifts.
    """
    import pandas as pd

    reference = reference_of(section)
    base = outcomes_by_seed(reference, store)
    rows = []
    for (method, _), records in section.rows.items():
        by_seed = base if records is reference else outcomes_by_seed(records, store)
        rows.append({"method": method, **_method_row(records, by_seed, base)})
    return pd.DataFrame(rows)


def by_shift(section: Section, view: View) -> "pd.DataFrame":
    """Return the metric in percent, mean over seeds: a column for each (method, bits), rows by `view`."""
    import pandas as pd

    columns = {}
    for key_of_row, records in section.rows.items():
        groups: dict[object, list[float]] = {}
        name = metric_of(records[0]).name
        for record in records:
            for shift, info in record.protocol.shifts.items():
                for metric, suffix in ((name, ""), (f"{name}_unmasked", " (no mask)")):
                    key = _group(shift, info, view)
                    score = record.scores[shift].get(metric)
                    if key is not None and score and score.value is not None:
                        groups.setdefault(f"{key}{suffix}" if suffix else key, []).append(score.value)
        columns[row_label(key_of_row)] = {key: float(np.mean(values)) for key, values in groups.items()}
    return pd.DataFrame(columns).rename_axis(view).reset_index()


def _method_row(records: list[Record], by_seed: BySeed, reference: BySeed) -> dict[str, Any]:
    first, shifts, metric = records[0], ood_shifts(records[0]), metric_of(records[0])
    name = metric.name
    outcomes = list(by_seed.values())

    def mean(set_name: str, score: str) -> float | None:
        return mean_of_known(r.scores[set_name][score].value for r in records).value

    def ood(score: str) -> float | None:
        return mean_of_known(_mean_score(r, shifts, score) for r in records).value

    id_value, id_stderr = mean_of_known(r.scores["id"][name].value for r in records)
    ood_value, ood_stderr = mean_of_known(_mean_score(r, shifts, name) for r in records)
    image_sets = image_sets_of(first, shifts)
    if len(records) == 1:
        id_stderr = first.scores["id"][name].stderr
        ood_stderr = _stderr_over_images(_mean_shares(metric, outcomes[0], image_sets))
    gap = None if id_value is None or ood_value is None else id_value - ood_value
    extra = extra_gap_of(first, by_seed, reference)
    flatness = [r.flatness.quantized for r in records if r.flatness.quantized]
    eigenvalues = [f.lambda_max for f in flatness if f.lambda_max and f.lambda_max.value is not None]
    return {
        "bits": first.cell.bits,
        "seeds": len(records),
        "images": first.scores["id"][name].n,
        f"val_{name}": mean("val", name),
        f"id_{name}": id_value,
        f"id_{name}_stderr": id_stderr,
        f"ood_{name}": ood_value,
        f"ood_{name}_stderr": ood_stderr,
        **_pooled(metric, outcomes, image_sets),
        "gap": gap,
        "extra_gap": extra and extra.value,
        "extra_gap_low": extra and extra.low,
        "extra_gap_high": extra and extra.high,
        "id_nll": mean("id", "nll"),
        "ood_nll": ood("nll"),
        "id_ece": mean("id", "ece"),
        "ood_ece": ood("ece"),
        "lambda_max": mean_of_known(e.value for e in eigenvalues).value,
        "lambda_max_residual": max((e.residual for e in eigenvalues if e.residual is not None), default=None),
        "sharpness": mean_of_known(f.mean_rise(SHARPNESS_RADIUS) for f in flatness).value,
        "sharpness_sam": mean_of_known(number(f.sharpness_sam) for f in flatness).value,
        **robustness_columns(records, outcomes, shifts),
    }


def _pooled(metric: Metric, outcomes: list[Arrays], sets: Mapping[str, str]) -> dict[str, float | None]:
    """Return the metric of all shifts' images in percent, mean over seeds, and its standard error."""
    if not metric.pooled_shares:
        return {}
    value = stderr = None
    if all(outcomes) and sets:
        shifts_of = {name: [s for s in sets if sets[s] == name] for name in sets.values()}
        runs = [
            metric.pooled_shares([[outcome[s] for s in shifts] for shifts in shifts_of.values()])
            for outcome in outcomes
        ]
        value, stderr = mean_of_known(100 * sum(float(share.mean()) for share in shares) for shares in runs)
        if len(runs) == 1:
            stderr = _stderr_over_images(runs[0])
    return {f"pooled_{metric.name}": value, f"pooled_{metric.name}_stderr": stderr}


def _mean_shares(metric: Metric, outcomes: Arrays, sets: Mapping[str, str]) -> list[Any]:
    """Return what each image of an image set contributes to the mean over the shifts."""
    if not outcomes:
        return []
    shares: dict[str, Any] = {}
    for shift, name in sets.items():
        shares[name] = shares.get(name, 0.0) + metric.values(outcomes[shift]) / len(sets)
    return list(shares.values())


def _stderr_over_images(shares: Sequence[Any]) -> float | None:
    """Return the standard error in percent of the sum of the means of independent image sets."""
    if not shares or any(len(share) < 2 for share in shares):
        return None
    return 100 * float(np.sqrt(sum(share.var(ddof=1) / len(share) for share in shares)))


def _mean_score(record: Record, shifts: list[str], metric: str) -> float | None:
    return mean_if_complete(record.scores[shift][metric].value for shift in shifts).value


def _group(shift: str, info: ShiftInfo, view: View) -> object:
    if view == "shift" or shift in ("id", "val"):
        return shift
    if not info.in_mean and view == "severity":
        return None
    return info.family if view == "family" else info.severity
