"""All stored scores as one pandas table for notebooks."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flatqat.bench.records.sections import method_label, section_title
from flatqat.bench.records.store import Store
from flatqat.spec import Record

if TYPE_CHECKING:
    import pandas as pd

DTYPES: dict[str, Any] = {
    "cell": "string",
    "section": "string",
    "suite": "string",
    "suite_version": "int64",
    "model": "string",
    "method": "string",
    "bits": "string",
    "recipe": "string",
    "seed": "int64",
    "step_multiplier": "int64",
    "weights": "string",
    "limit": "Int64",
    "window": "string",
    "amp": "bool",
    "reference": "boolean",
    "status": "string",
    "reason": "string",
    "shift": "string",
    "family": "string",
    "severity": "Int64",
    "in_mean": "boolean",
    "image_set": "string",
    "metric": "string",
    "value": "float64",
    "n": "Int64",
    "stderr": "float64",
}


def load_results(folder: str | Path = "results", *, suite: str | None = None) -> "pd.DataFrame":
    """Return all stored scores, one row for each cell, shift and metric.

    A cell that failed or was skipped has one row, with its `status` and `reason` and no shift, metric or
    value. The columns, always in this order, are those of

    - the cell: `cell` (its id), `section` (rows of one section may be compared, see the reports), `suite`,
      `suite_version`, `model`, `method` and `bits` (both as in the tables, settings included), `recipe`,
      `seed`, `step_multiplier`, `weights`, `limit`, `window`, `amp`, `reference` (the method that the others
      are compared with), `status`, `reason`;
    - the scored set: `shift`, among them `id` and `val`, `family`, `severity`, `in_mean` (whether it counts
      in the OOD mean, which leaves out `id`), `image_set`;
    - the score: `metric` (`top1`, `miou`, `nll`, `ece`, `iou/3`, ...), `value` (in percent where it is a
      share; NaN where it is undefined), `n` (the number of images), `stderr` (over images).

    Args:
        folder: A results folder.
        suite: The name of a suite or a family, to load only its cells.

    Raises:
        StoreError: There are no records, or one is damaged.

    Example:
        ID accuracy of every run, then OOD accuracy as the tables have it, a mean over shifts and seeds:

            results = load_results("results")
            results.query("shift == 'id' and metric == 'top1'")
            ood = results.query("in_mean and shift != 'id' and metric == 'top1'")
            runs = ood.groupby(["section", "method", "bits", "seed"])["value"].mean()
            runs.groupby(["section", "method", "bits"]).mean()
    """
    import pandas as pd

    rows = [row for record in Store(Path(folder)).some_records(suite) for row in _rows(record)]
    columns = {name: [row.get(name) for row in rows] for name in DTYPES}
    return pd.DataFrame({name: pd.array(columns[name], dtype=DTYPES[name]) for name in DTYPES})


def _rows(record: Record) -> Iterator[dict[str, Any]]:
    cell, is_done = record.cell, record.status == "done"
    common = {
        "cell": cell.id,
        "section": section_title(record),
        "suite": cell.suite,
        "suite_version": cell.suite_version,
        "model": cell.model,
        "method": method_label(record),
        "bits": cell.bits,
        "recipe": cell.recipe,
        "seed": cell.seed,
        "step_multiplier": cell.step_multiplier,
        "weights": cell.weights,
        "limit": cell.limit,
        "window": cell.window,
        "amp": cell.amp,
        "reference": record.protocol.reference if is_done else None,
        "status": record.status,
        "reason": record.reason or None,
    }
    if not is_done:
        yield {**common, "value": float("nan"), "stderr": float("nan")}
    for shift, info in record.protocol.shifts.items():
        about = {
            "shift": shift,
            "family": info.family,
            "severity": info.severity,
            "in_mean": info.in_mean,
            "image_set": info.image_set,
        }
        for metric, score in record.scores[shift].items():
            yield {
                **common,
                **about,
                "metric": metric,
                "value": float("nan") if score.value is None else score.value,
                "n": score.n,
                "stderr": float("nan") if score.stderr is None else score.stderr,
            }
