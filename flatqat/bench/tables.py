"""Stored records as pandas tables: one row a method, or one column a method and a row a shift.

A pure function of what is stored. Numbers of two protocols never share a table: records are split by suite
version, model, budget, start weights, image limit, window and precision before anything is averaged.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from flatqat.bench.paired import BySeed, extra_gap_of, measure_of, ood_shifts, outcomes_by_seed, pools_of
from flatqat.bench.robustness import robustness_columns
from flatqat.bench.store import Arrays, Store
from flatqat.errors import StoreError
from flatqat.metrics.measures import Measure
from flatqat.metrics.statistics import mean_over_seeds
from flatqat.spec import Record

if TYPE_CHECKING:
    import pandas as pd

View = Literal["method", "shift", "family", "severity", "class"]
VIEWS: tuple[View, ...] = ("method", "shift", "family", "severity", "class")
SHARPNESS_RADIUS = "0.1"
RESIDUAL_TOLERANCE = 1e-3  # of an eigenvalue; above it reports star it


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """The records of one protocol: a title, a sentence on how the numbers were made, and its rows by seed."""

    title: str
    protocol: str
    rows: Mapping[tuple[str, str], list[Record]]
    problems: list[Record]


def sections(records: Iterable[Record]) -> list[Section]:
    """Split records by protocol, and within it by (method, bits), each sorted by seed."""
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(_title(record), []).append(record)
    found = []
    for title, members in sorted(groups.items()):
        done = [r for r in members if r.status == "done"]
        rows: dict[tuple[str, str], list[Record]] = {}
        for record in sorted(done, key=lambda r: (_order(r), r.cell.seed)):
            row = rows.setdefault((method_label(record), record.cell.bits), [])
            if row and row[-1].cell.seed == record.cell.seed:
                raise StoreError(
                    f"two records of one seed from other starts: {row[-1].cell.label}, {record.cell.label}; "
                    "delete the older one, or use another --results"
                )
            row.append(record)
        problems = [r for r in members if r.status != "done"]
        protocol = protocol_line(done) if done else ""
        found.append(Section(title=title, protocol=protocol, rows=rows, problems=problems))
    return found


def protocol_line(records: list[Record]) -> str:
    """How the numbers were made. Several fingerprints, of splits that go with the seed, become one."""
    first = records[0].protocol
    seeds = ", ".join(map(str, sorted({r.cell.seed for r in records})))
    data, *more = sorted({str(r.protocol["data"]) for r in records})
    if more:
        data = hashlib.sha256(" ".join([data, *more]).encode()).hexdigest()[:8]
    parts = [first["suite"], first.get("preprocessing")]
    if window := first.get("window"):
        parts.append(f"seen through a window of {window} (size:stride) that slides, logits averaged")
    parts += [first.get("made_with"), *first.get("in_part", [])]
    parts += [f"data {data}", f"seed {seeds}"]
    if name := first.get("normalizer"):
        parts.append(f"mCE: errors in units of {name}'s, which are fixed")
    if line := first.get("baseline"):
        parts.append(f"eff. rob.: points of OOD above the line {line} of standard models")
    return "; ".join(part for part in parts if part)


def problems(section: Section) -> list[str]:
    """A line for every cell that failed or was skipped, with its reason."""
    return [f"{r.status}: {r.cell.label}: {r.reason}" for r in section.problems]


def method_label(record: Record) -> str:
    """`anchor`, or `anchor(coupling=elastic)` where settings are not the defaults; `qat 2x steps`."""
    cell = record.cell
    stretch = f" {cell.stretch}x steps" if cell.stretch > 1 else ""
    args = ", ".join(f"{key}={value}" for key, value in cell.method_args)
    version = f" v{cell.method_version}" if cell.method_version > 1 else ""
    return cell.method + version + (f"({args})" if args else "") + stretch


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
        name = measure_of(records[0]).name
        for record in records:
            for shift, about in record.protocol["shifts"].items():
                for metric, suffix in ((name, ""), (f"{name}_unmasked", " (no mask)")):
                    key = _group(shift, about, view)
                    score = record.scores[shift].get(metric)
                    if key is not None and score and score.value is not None:
                        groups.setdefault(f"{key}{suffix}" if suffix else key, []).append(score.value)
        columns[row_label(key_of_row)] = {key: float(np.mean(values)) for key, values in groups.items()}
    return pd.DataFrame(columns).rename_axis(view).reset_index()


def reference_of(section: Section) -> list[Record]:
    """What the other rows are compared with; empty where it is not stored."""
    return next((rows for rows in section.rows.values() if rows[0].protocol["reference"]), [])


def row_label(key: tuple[str, str]) -> str:
    """`qat 4`, or `fp`, for a (method, bits) that heads a column."""
    method, bits = key
    return method if method == bits else f"{method} {bits}"


def _method_row(records: list[Record], by_seed: BySeed, reference: BySeed) -> dict[str, Any]:
    first, shifts, measure = records[0], ood_shifts(records[0]), measure_of(records[0])
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


def _pooled(measure: Measure, outcomes: list[Arrays], pools: Mapping[str, str]) -> dict[str, float | None]:
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


def _mean_shares(measure: Measure, outcomes: Arrays, pools: Mapping[str, str]) -> list[Any]:
    """What each image of a pool gives to the mean over the shifts in `pools`."""
    shares: dict[str, Any] = {}
    for shift, pool in pools.items() if outcomes else ():
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
    if not about["headline"] and view == "severity":
        return None
    return about["family"] if view == "family" else about["severity"]


def _title(record: Record) -> str:
    cell = record.cell
    parts = [f"{cell.suite} v{cell.suite_version}", cell.model, f"budget {cell.budget}"]
    parts += [f"{key}={value}" for key, value in cell.budget_args]
    parts += [f"weights {cell.weights[:8]}"] if cell.weights else []
    parts += [f"{cell.limit} images a shift"] if cell.limit else []
    parts += [f"window {cell.window}"] if cell.window else []
    parts += ["bfloat16"] if cell.amp else []
    return " · ".join(parts)


def _order(record: Record) -> tuple[object, ...]:
    """The reference, floating point, then by bits; within these what trains less and has fewer settings."""
    settings = len(record.protocol.get("method", {}))
    return (
        not record.protocol["reference"],
        record.cell.quant != "fp",
        record.cell.bits,
        record.train.get("steps", 0),
        settings,
        method_label(record),
    )
