"""A section of stored records as a pandas table: one row a method, or one column a method and a row a shift.

A pure function of what is stored.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from flatqat.bench.records.paired import (
    BySeed,
    extra_gap_of,
    metric_of,
    ood_shifts,
    outcomes_by_seed,
    pools_of,
)
from flatqat.bench.records.sections import Section, method_label, reference_of, row_label
from flatqat.bench.records.store import Arrays, Store
from flatqat.bench.report.robustness import robustness_columns
from flatqat.metrics.metric import Metric
from flatqat.metrics.significance import mean_over_seeds
from flatqat.spec import Record

if TYPE_CHECKING:
    import pandas as pd

View = Literal["method", "shift", "family", "severity", "class"]
VIEWS: tuple[View, ...] = ("method", "shift", "family", "severity", "class")
SHARPNESS_RADIUS = "0.1"


def by_method(section: Section, store: Store) -> "pd.DataFrame":
    """One row a (method, bits): the suite's metric ID and OOD in percent, their gap, the gap beyond floating
    point with its 95% bootstrap interval, NLL and ECE on the shifts, and flatness. Means over seeds.

    A standard error is over seeds where there are several, else over images. `pooled` is the metric of the
    images of all shifts together, where that is not the mean over shifts.
    """
    import pandas as pd

    reference = reference_of(section)
    base = outcomes_by_seed(reference, store)
    return pd.DataFrame(
        [
            _method_row(records, base if records is reference else outcomes_by_seed(records, store), base)
            for records in section.rows.values()
        ]
    )


def by_shift(section: Section, view: View) -> "pd.DataFrame":
    """The metric in percent, mean over seeds: a column a (method, bits), a row a shift, family, severity."""
    import pandas as pd

    columns = {}
    for key_of_row, records in section.rows.items():
        groups: dict[object, list[float]] = {}
        name = metric_of(records[0]).name
        for record in records:
            for shift, about in record.protocol["shifts"].items():
                for metric, suffix in ((name, ""), (f"{name}_unmasked", " (no mask)")):
                    key = _group(shift, about, view)
                    score = record.scores[shift].get(metric)
                    if key is not None and score and score.value is not None:
                        groups.setdefault(f"{key}{suffix}" if suffix else key, []).append(score.value)
        columns[row_label(key_of_row)] = {key: float(np.mean(values)) for key, values in groups.items()}
    return pd.DataFrame(columns).rename_axis(view).reset_index()


def _method_row(records: list[Record], by_seed: BySeed, reference: BySeed) -> dict[str, Any]:
    first, shifts, measure = records[0], ood_shifts(records[0]), metric_of(records[0])
    name = measure.name
    outcomes = list(by_seed.values())
    id_value, id_stderr = _known_mean([r.scores["id"][name].value for r in records])
    ood_value, ood_stderr = _known_mean([_mean_score(r, shifts, name) for r in records])
    pools = pools_of(first, shifts)
    if len(records) == 1:
        id_stderr = first.scores["id"][name].stderr
        ood_stderr = _stderr_over_images(_mean_shares(measure, outcomes[0], pools))
    gap = None if id_value is None or ood_value is None else id_value - ood_value
    extra = extra_gap_of(first, by_seed, reference)
    measured = [f for r in records if (f := r.flatness.get("quantized"))]
    return {
        "method": method_label(first),
        "bits": first.cell.bits,
        "seeds": len(records),
        "images": first.scores["id"][name].n,
        f"val_{name}": _known_mean([r.scores["val"][name].value for r in records])[0],
        f"id_{name}": id_value,
        f"id_{name}_stderr": id_stderr,
        f"ood_{name}": ood_value,
        f"ood_{name}_stderr": ood_stderr,
        **_pooled(measure, outcomes, pools),
        "gap": gap,
        "extra_gap": extra and extra.value,
        "extra_gap_low": extra and extra.low,
        "extra_gap_high": extra and extra.high,
        "id_nll": _known_mean([r.scores["id"]["nll"].value for r in records])[0],
        "ood_nll": _known_mean([_mean_score(r, shifts, "nll") for r in records])[0],
        "id_ece": _known_mean([r.scores["id"]["ece"].value for r in records])[0],
        "ood_ece": _known_mean([_mean_score(r, shifts, "ece") for r in records])[0],
        "lambda_max": _known_mean([f["lambda_max"]["value"] for f in measured])[0],
        "lambda_max_residual": max(
            (f["lambda_max"]["residual"] for f in measured if f["lambda_max"]["value"] is not None),
            default=None,
        ),
        "sharpness": _known_mean([f["sharpness_avg"][SHARPNESS_RADIUS]["value"] for f in measured])[0],
        "sharpness_sam": _known_mean([f["sharpness_sam"]["value"] for f in measured])[0],
        **robustness_columns(records, outcomes, shifts),
    }


def _pooled(measure: Metric, outcomes: list[Arrays], pools: Mapping[str, str]) -> dict[str, float | None]:
    """Percent, the mean over seeds and its error; None where outcomes are not stored."""
    if not measure.pooled_shares:
        return {}
    value = stderr = None
    if all(outcomes) and pools:
        shifts_of = {pool: [s for s in pools if pools[s] == pool] for pool in pools.values()}
        runs = [
            measure.pooled_shares([[outcome[s] for s in shifts] for shifts in shifts_of.values()])
            for outcome in outcomes
        ]
        value, stderr = _known_mean([100 * sum(float(share.mean()) for share in shares) for shares in runs])
        if len(runs) == 1:
            stderr = _stderr_over_images(runs[0])
    return {f"pooled_{measure.name}": value, f"pooled_{measure.name}_stderr": stderr}


def _mean_shares(measure: Metric, outcomes: Arrays, pools: Mapping[str, str]) -> list[Any]:
    """What each image of a pool gives to the mean over the shifts in `pools`."""
    if not outcomes:
        return []
    shares: dict[str, Any] = {}
    for shift, pool in pools.items():
        shares[pool] = shares.get(pool, 0.0) + measure.values(outcomes[shift]) / len(pools)
    return list(shares.values())


def _stderr_over_images(shares: Sequence[Any]) -> float | None:
    """Percent; of the sum of the means of pools, images being what is sampled; pools are independent."""
    if not shares or any(len(share) < 2 for share in shares):
        return None
    return 100 * float(np.sqrt(sum(share.var(ddof=1) / len(share) for share in shares)))


def _mean_score(record: Record, shifts: list[str], metric: str) -> float | None:
    values = [record.scores[s][metric].value for s in shifts]
    return None if None in values else float(np.mean([v for v in values if v is not None]))


def _known_mean(values: list[float | None]) -> tuple[float | None, float | None]:
    """And its error over seeds; what is missing is left out."""
    known = [v for v in values if v is not None]
    return mean_over_seeds(known) if known else (None, None)


def _group(shift: str, about: Mapping[str, Any], view: View) -> object:
    if view == "shift" or shift in ("id", "val"):
        return shift
    if not about["in_mean"] and view == "severity":
        return None
    return about["family"] if view == "family" else about["severity"]
