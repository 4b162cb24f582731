"""All stored scores as one pandas table for notebooks."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flatqat.bench.records.paired import ood_shifts
from flatqat.bench.records.revisions import older, revision
from flatqat.bench.records.sections import method_of, section_title, sections, settings_text
from flatqat.bench.records.store import Store
from flatqat.bench.report.by_method import SHARPNESS_RADIUS
from flatqat.bench.report.cost_columns import COLUMNS as COST
from flatqat.bench.report.cost_columns import fields_of
from flatqat.bench.report.deployed import deployed_value
from flatqat.spec import Record
from flatqat.spec.flatness import number

if TYPE_CHECKING:
    import pandas as pd

CELL = ("suite", "suite_version", "model", "recipe", "seed", "step_multiplier")
OPTIONS = ("weights", "limit", "window", "adapt", "amp")
SHIFT = ("family", "severity", "in_mean", "image_set")
SCORE = ("metric", "value", "n", "stderr")
DEPLOYED = ("deployed", "agreement")
STATUS = ("reference", "status", "reason")
CODE = ("settings", "revision", "older")
FLATNESS = ("lambda_max", "lambda_max_residual", "sharpness", "sharpness_sam")
COLUMNS = (
    *("cell", "section", "method", "bits", *CELL, *OPTIONS, *STATUS),
    *("shift", *SHIFT, *SCORE, *COST, *DEPLOYED, *CODE, *FLATNESS),
)
DTYPES = {
    **dict.fromkeys(COLUMNS, "string"),
    **dict.fromkeys(("suite_version", "seed", "step_multiplier"), "int64"),
    **dict.fromkeys(("limit", "severity", "n", *COST), "Int64"),  # with a capital: may be missing
    **dict.fromkeys(("reference", "in_mean"), "boolean"),
    **dict.fromkeys(("value", "stderr", *DEPLOYED, *FLATNESS), "float64"),
    **dict.fromkeys(("amp", "older"), "bool"),
}


def load_results(
    folder: str | Path = "results", *, suite: str | None = None, all_revisions: bool = False
) -> "pd.DataFrame":
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
      percentage of its predictions on the set that are those of the cell);
    - the code: `settings` (`strength=0.5, recipe.lr=0.1`: those of the method and the recipe that are not
      their defaults), `revision` (the six digits that reports have, where the cell is made of plugins) and
      `older` (whether newer code has replaced the cell);
    - the flatness of the deployed weights, where it was measured: `lambda_max` and its
      `lambda_max_residual`, `sharpness` (the mean rise of the loss when every filter moves by 10% of its
      norm) and `sharpness_sam`.

    Args:
        folder: A results folder.
        suite: The name of a suite or a family, to load only its cells.
        all_revisions: Whether to load older revisions of edited plugins, too. `method` then names the
            revision, as in reports. Else the code that was run last counts.

    Raises:
        StoreError: There are no records, or one is damaged.

    Example:
        ID accuracy of every run, then OOD accuracy as the tables have it, a mean over shifts and seeds:

            results = load_results("results")
            results.query("shift == 'id' and metric == 'top1'")
            ood = results.query("in_mean and metric == 'top1'")
            runs = ood.groupby(["section", "method", "bits", "seed"])["value"].mean()
            runs.groupby(["section", "method", "bits"]).mean()

        What belongs to a cell, such as its flatness or cost, stands in all of its rows:

            results.drop_duplicates("cell")[["method", "bits", "seed", "lambda_max"]]
    """
    import pandas as pd

    records = Store(Path(folder)).some_records(suite)
    old = older(records)
    kept = [record for record in records if all_revisions or record.cell.id not in old]
    labels = _labels(kept)
    rows = [
        {**row, "method": labels.get(record.cell.id, row["method"]), "older": record.cell.id in old}
        for record in kept
        for row in _rows(record)
    ]
    columns: dict[str, list[Any]] = {name: [row.get(name) for row in rows] for name in COLUMNS}
    return pd.DataFrame({name: pd.array(columns[name], dtype=DTYPES[name]) for name in COLUMNS})  # type: ignore[call-overload]


def _labels(records: Sequence[Record]) -> dict[str, str]:
    """Return the method as tables name it, by the id of each finished cell."""
    parts = sections(records, all_revisions=True)
    return {r.cell.id: key[0] for section in parts for key, row in section.rows.items() for r in row}


def _rows(record: Record) -> Iterator[dict[str, Any]]:
    of_cell = {name: getattr(record.cell, name) for name in (*CELL, *OPTIONS)} | {
        "cell": record.cell.id,
        "section": section_title(record.cell),
        "method": method_of(record.cell),
        "bits": record.cell.bits,
        "reference": record.protocol.reference if record.status == "done" else None,
        "status": record.status,
        "reason": record.reason or None,
        "settings": settings_text(record.cell),
        "revision": revision(record.cell) if record.cell.plugins else None,
        **fields_of(record.cost),
        **_flatness(record),
    }
    if record.status != "done":
        yield of_cell
        return
    counted = ood_shifts(record)
    for shift, info in record.protocol.shifts.items():
        of_shift = {"shift": shift} | {name: getattr(info, name) for name in SHIFT}
        of_shift["in_mean"] = shift in counted
        for metric, score in record.scores[shift].items():
            of_score = {"metric": metric, "value": score.value, "n": score.n, "stderr": score.stderr}
            of_file = _deployed(record, shift) if metric == record.protocol.metric else {}
            yield of_cell | of_shift | of_score | of_file


def _flatness(record: Record) -> dict[str, float | None]:
    measured = record.flatness.quantized
    if measured is None:
        return {}
    eigenvalue = measured.lambda_max
    values = (
        number(eigenvalue),
        eigenvalue.residual if eigenvalue else None,
        measured.mean_rise(SHARPNESS_RADIUS),
        number(measured.sharpness_sam),
    )
    return dict(zip(FLATNESS, values, strict=True))


def _deployed(record: Record, shift: str) -> dict[str, float | None]:
    found = record.deployed.optimized.shifts.get(shift) if record.deployed else None
    agreement = found.agreement if found else None
    return {"deployed": deployed_value(record, shift), "agreement": agreement}
