"""All stored scores as one pandas table for notebooks."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flatqat.bench.records.revisions import newest
from flatqat.bench.records.sections import method_label, section_title
from flatqat.bench.records.store import Store
from flatqat.bench.report.cost_columns import COLUMNS as COST
from flatqat.bench.report.cost_columns import fields_of
from flatqat.bench.report.deployed import deployed_value
from flatqat.spec import Record

if TYPE_CHECKING:
    import pandas as pd

CELL = ("suite", "suite_version", "model", "recipe", "seed", "step_multiplier")
OPTIONS = ("weights", "limit", "window", "adapt", "amp")
SHIFT = ("family", "severity", "in_mean", "image_set")
SCORE = ("metric", "value", "n", "stderr")
DEPLOYED = ("deployed", "agreement")
STATUS = ("reference", "status", "reason")
COLUMNS = (
    *("cell", "section", "method", "bits", *CELL, *OPTIONS, *STATUS),
    *("shift", *SHIFT, *SCORE, *COST, *DEPLOYED),
)
DTYPES = {
    **dict.fromkeys(COLUMNS, "string"),
    **dict.fromkeys(("suite_version", "seed", "step_multiplier"), "int64"),
    **dict.fromkeys(("limit", "severity", "n", *COST), "Int64"),  # with a capital: may be missing
    **dict.fromkeys(("reference", "in_mean"), "boolean"),
    **dict.fromkeys(("value", "stderr", *DEPLOYED), "float64"),
    "amp": "bool",
}


def load_results(folder: str | Path = "results", *, suite: str | None = None) -> "pd.DataFrame":
    """Return all stored scores, one row for each cell, shift and metric.

    A cell that failed or was skipped has one row, with its `status` and `reason` and no shift, metric or
    value. The columns, always in this order, are those of

    - the cell: `cell` (its id), `section` (rows of one section may be compared), `method` and
      `bits` (both as in the tables, settings included), `suite`, `suite_version`, `model`, `recipe`, `seed`,
      `step_multiplier`, `weights`, `limit`, `window`, `adapt`, `amp`, `reference` (the method that the
      others are compared with), `status`, `reason`;
    - the scored set: `shift`, among them `id` and `val`, `family`, `severity`, `in_mean` (whether it counts
      in the OOD mean, which leaves out `id`), `image_set`;
    - the score: `metric` (`top1`, `miou`, `nll`, `ece`, `iou/3`, ...), `value` (in percent where it is a
      share; NaN where it is undefined), `n` (the number of images), `stderr` (over images);
    - the network, for one image: `macs`, `bops`, `weight_bytes`, `other_bytes` and `activation_bytes`, see
      `Cost`;
    - the exported file, where one was verified: `deployed` (its value of the suite's metric, with the graph
      optimized; of files verified on fewer images, `value` plus the change on those) and `agreement` (the
      percentage of its predictions on the set that are those of the cell).

    Of cells whose plugins were edited, the newest revision counts, as in reports.

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

    rows = [row for record in newest(Store(Path(folder)).some_records(suite)) for row in _rows(record)]
    columns: dict[str, list[Any]] = {name: [row.get(name) for row in rows] for name in COLUMNS}
    return pd.DataFrame({name: pd.array(columns[name], dtype=DTYPES[name]) for name in COLUMNS})  # type: ignore[call-overload]


def _rows(record: Record) -> Iterator[dict[str, Any]]:
    of_cell = {name: getattr(record.cell, name) for name in (*CELL, *OPTIONS)} | {
        "cell": record.cell.id,
        "section": section_title(record),
        "method": method_label(record),
        "bits": record.cell.bits,
        "reference": record.protocol.reference if record.status == "done" else None,
        "status": record.status,
        "reason": record.reason or None,
        **fields_of(record.cost),
    }
    if record.status != "done":
        yield of_cell
    for shift, info in record.protocol.shifts.items():
        of_shift = {"shift": shift} | {name: getattr(info, name) for name in SHIFT}
        for metric, score in record.scores[shift].items():
            of_score = {"metric": metric, "value": score.value, "n": score.n, "stderr": score.stderr}
            of_file = _deployed(record, shift) if metric == record.protocol.metric else {}
            yield of_cell | of_shift | of_score | of_file


def _deployed(record: Record, shift: str) -> dict[str, float | None]:
    found = record.deployed.optimized.shifts.get(shift) if record.deployed else None
    agreement = found.agreement if found else None
    return {"deployed": deployed_value(record, shift), "agreement": agreement}
