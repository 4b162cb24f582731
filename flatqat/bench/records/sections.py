"""Stored records in sections: what was made in the same way may share a table.

Numbers of two protocols never share a table: records are split by suite version, model, recipe, start
weights, image limit, window and precision before anything is averaged.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from flatqat.errors import StoreError
from flatqat.spec import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """The records of one protocol, with what they have in common and how they were made, in words.

    `rows` has the finished records by (method, bits), sorted by seed, and `problems` all others.
    """

    title: str
    protocol: str
    rows: Mapping[tuple[str, str], list[Record]]
    problems: list[Record]


def sections(records: Iterable[Record]) -> list[Section]:
    """Split records by protocol, and within it by (method, bits). Raises StoreError on two of one seed."""
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(section_title(record), []).append(record)
    split = []
    for title, members in sorted(groups.items()):
        done = [r for r in members if r.status == "done"]
        rows: dict[tuple[str, str], list[Record]] = {}
        for record in sorted(done, key=lambda r: (_order(r), r.cell.seed)):
            row = rows.setdefault((method_label(record), record.cell.bits), [])
            if row and row[-1].cell.seed == record.cell.seed:
                both = f"{row[-1].cell.label}, {record.cell.label}"
                fix = "delete the older one, or use another --results"
                raise StoreError(f"two records of one seed from other starts: {both}; {fix}")
            row.append(record)
        problems = [r for r in members if r.status != "done"]
        protocol = protocol_line(done) if done else ""
        split.append(Section(title=title, protocol=protocol, rows=rows, problems=problems))
    return split


def protocol_line(records: list[Record]) -> str:
    """Return how the numbers were made. Fingerprints that differ from seed to seed are hashed into one."""
    first = records[0].protocol
    seeds = ", ".join(map(str, sorted({r.cell.seed for r in records})))
    data, *more = sorted({r.protocol.data for r in records})
    if more:
        data = hashlib.sha256(" ".join([data, *more]).encode()).hexdigest()[:8]
    parts = [first.suite, first.preprocessing]
    if first.window:
        parts.append(f"in a sliding window of {first.window} (size:stride), logits averaged")
    parts += [first.made_with, *first.in_part]
    parts += [f"data {data}", f"seed {seeds}"]
    if first.normalizer:
        parts.append(f"mCE: errors in units of {first.normalizer}'s, which are fixed")
    if first.baseline:
        parts.append(f"eff. rob.: points of OOD above the line {first.baseline} of standard models")
    return "; ".join(part for part in parts if part)


def problems(section: Section) -> list[str]:
    """Return a line for every cell that failed or was skipped, with its reason."""
    return [f"{r.status}: {r.cell.label}: {r.reason}" for r in section.problems]


def method_label(record: Record) -> str:
    """Return the method's name for tables: `anchor`, `anchor(coupling=elastic)`, `qat 2x steps`."""
    cell = record.cell
    step_multiplier = f" {cell.step_multiplier}x steps" if cell.step_multiplier > 1 else ""
    args = ", ".join(f"{key}={value}" for key, value in cell.method_args)
    version = f" v{cell.method_version}" if cell.method_version > 1 else ""
    return cell.method + version + (f"({args})" if args else "") + step_multiplier


def reference_of(section: Section) -> list[Record]:
    """Return the row that the others are compared with; empty if it is not stored."""
    return next((rows for rows in section.rows.values() if rows[0].protocol.reference), [])


def row_label(key: tuple[str, str]) -> str:
    """Return `qat 4`, or `fp`, as the name of a row or column for (method, bits)."""
    method, bits = key
    return method if method == bits else f"{method} {bits}"


def section_title(record: Record) -> str:
    """Return the title of the section of a record: what its rows have in common."""
    cell = record.cell
    parts = [f"{cell.suite} v{cell.suite_version}", cell.model, f"recipe {cell.recipe}"]
    parts += [f"{key}={value}" for key, value in cell.recipe_args]
    digest, sign, entry = (cell.weights or "").partition("#")
    parts += [f"weights {digest[:8]}{sign}{entry}"] if digest else []
    parts += [f"{cell.limit} images a shift"] if cell.limit else []
    parts += [f"window {cell.window}"] if cell.window else []
    parts += ["bfloat16"] if cell.amp else []
    return " · ".join(parts)


def _order(record: Record) -> tuple[object, ...]:
    """The sort key: the reference, floating point, then by bits; in these by steps and number of settings."""
    return (
        not record.protocol.reference,
        record.cell.quant != "fp",
        record.cell.bits,
        record.train.steps,
        len(record.protocol.method),
        method_label(record),
    )
