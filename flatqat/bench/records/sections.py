"""Stored records in sections: what was made alike, and may share a table.

Numbers of two protocols never share a table: records are split by suite version, model, recipe, start
weights, image limit, window and precision before anything is averaged.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from flatqat.errors import StoreError
from flatqat.spec import Record

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
    step_multiplier = f" {cell.step_multiplier}x steps" if cell.step_multiplier > 1 else ""
    args = ", ".join(f"{key}={value}" for key, value in cell.method_args)
    version = f" v{cell.method_version}" if cell.method_version > 1 else ""
    return cell.method + version + (f"({args})" if args else "") + step_multiplier


def reference_of(section: Section) -> list[Record]:
    """What the other rows are compared with; empty where it is not stored."""
    return next((rows for rows in section.rows.values() if rows[0].protocol["reference"]), [])


def row_label(key: tuple[str, str]) -> str:
    """`qat 4`, or `fp`, for a (method, bits) that heads a column."""
    method, bits = key
    return method if method == bits else f"{method} {bits}"


def _title(record: Record) -> str:
    cell = record.cell
    parts = [f"{cell.suite} v{cell.suite_version}", cell.model, f"recipe {cell.recipe}"]
    parts += [f"{key}={value}" for key, value in cell.recipe_args]
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
