"""Stored records in sections: what was made in the same way may share a table.

Numbers of two protocols never share a table: records are split by suite version, model, recipe, start
weights, image limit, window, adaptation and precision before anything is averaged.
"""

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flatqat.bench.records.revisions import files, older, revision
from flatqat.errors import StoreError, counted, listed
from flatqat.spec import Cell, Record

POOLED = "the scatter of seeds is pooled over these rows alone"
"""What is said beside numbers of a section that `pools_fewer`, where such a scatter is in them."""
RowKey = tuple[str, str]
"""The method of a row of tables, with its settings, and its bits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """The records of one protocol, with what they have in common and how they were made, in words.

    `rows` has the finished records by (method, bits), sorted by seed, and `problems` all others; `older` is
    the number of cells of older revisions that are left out, `chosen` says which rows the user wants, where
    not all, and `fewer` whether there are others.
    """

    title: str
    protocol: str
    rows: Mapping[RowKey, list[Record]]
    problems: list[Record]
    older: int = 0
    chosen: str = ""
    fewer: bool = False

    @property
    def first(self) -> Record:
        """Any finished record: what is read from it is the same in all."""
        return next(iter(self.rows.values()))[0]

    @property
    def reference(self) -> RowKey | None:
        """The row that every other is compared with, if it is stored."""
        return next((key for key, records in self.rows.items() if records[0].protocol.reference), None)

    @property
    def pools_fewer(self) -> bool:
        """Whether a scatter over seeds is pooled over fewer rows than there are, since a user chose some."""
        return self.fewer and any(len({r.cell.seed for r in row}) > 1 for row in self.rows.values())


def sections(records: Iterable[Record], *, all_revisions: bool = False) -> list[Section]:
    """Split records by protocol, and within it by (method, bits).

    Older revisions are left out, or have rows of their own.
    """
    groups: dict[str, list[Record]] = {}
    every = list(records)
    for record in every:
        groups.setdefault(section_title(record.cell), []).append(record)
    split, old = [], older(every)
    for title, members in sorted(groups.items()):
        shown = [r for r in members if all_revisions or r.cell.id not in old]
        done = [r for r in shown if r.status == "done"]
        rows = _rows(sorted(done, key=lambda r: (_order(r), r.cell.id in old, r.cell.seed)), old)
        left_out = len(members) - len(shown)
        problems = [r for r in shown if r.status != "done"]
        how = how_made(rows, left_out)
        split.append(Section(title=title, protocol=how, rows=rows, problems=problems, older=left_out))
    return split


def _rows(records: Sequence[Record], old: Collection[str]) -> dict[RowKey, list[Record]]:
    """Return records by label and bits; where code has several revisions, each label names its own."""
    rows: dict[RowKey, list[Record]] = {}
    several = {files(record.cell) for record in records if record.cell.id in old}
    for record in records:
        cell, label = record.cell, method_of(record.cell)
        if cell.id in old:
            label = f"{label} (revision {revision(cell)})"
        elif cell.plugins and files(cell) in several:
            label = f"{label} (revision {revision(cell)}, latest)"
        row = rows.setdefault((label, cell.bits), [])
        if row and row[-1].cell.seed == cell.seed:  # the same code from other starts
            row = rows.setdefault((f"{label} ({cell.id[:6]})", cell.bits), [])
        row.append(record)
    for (label, _), row in rows.items():
        _check_alike(label, row)
    return rows


def _check_alike(label: str, row: Sequence[Record]) -> None:
    """Raise StoreError unless the seeds of a row have the same shifts, whose means are compared."""
    first = row[0]
    for other in row[1:]:
        odd = sorted(other.protocol.shifts.keys() ^ first.protocol.shifts.keys())
        if odd:
            raise StoreError(
                f"{label}: expected the same shifts with all seeds, got {listed(odd)} with only one of "
                f"{first.cell.label} and {other.cell.label}; run one of them again on the same data"
            )


def names_of(label: str) -> tuple[str, ...]:
    """Return the names by which a row can be asked for: its label, and of a latest revision two shorter ones.

    `mine (revision 3c41d7, latest)` is also `mine (revision 3c41d7)`, and `mine`, as it is called where no
    older revision is shown.
    """
    shorter = (re.sub(r" \(revision (\w+), latest\)", to, label) for to in (r" (revision \1)", ""))
    return tuple(dict.fromkeys((label, *shorter)))


def method_alone(label: str) -> str:
    """Return the method of a row's label without its settings and what else it is marked with."""
    return label.partition("(")[0].partition(" ")[0]


def bits_alone(bits: str) -> str:
    """Return the bits of a row without the version of the quantizer, as `bench run` takes them: `4@apot`."""
    return re.sub(r"^(\S+) v\d+", r"\1", bits)


def is_latest(label: str) -> bool:
    """Whether the label of a row is marked as that of the latest of several revisions."""
    return len(names_of(label)) > 1


def how_made(rows: Mapping[RowKey, list[Record]], older: int, chosen: str = "") -> str:
    """Return how the numbers of rows were made, in words, and which are left out; empty without rows."""
    done = [record for records in rows.values() for record in records]
    only = [f"only the rows of {chosen}"] if chosen else []
    return "; ".join([protocol_line(done), *revisions_line(older), *only]) if done else ""


def revisions_line(left_out: int) -> list[str]:
    """Return a sentence on older revisions, if any were left out."""
    cells = counted(left_out, "cell")
    return [f"{cells} of older revisions of the code left out (--all-revisions)"] if left_out else []


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
    parts += [first.adapt, first.made_with, *first.in_part]
    parts += [f"data {data}", f"seed {seeds}", *computing_lines(records)]
    if first.normalizer:
        parts.append(f"mCE: errors in units of {first.normalizer}'s, which are fixed")
    if first.baseline:
        parts.append(f"eff. rob.: points of OOD above the line {first.baseline} of standard models")
    return "; ".join(part for part in parts if part)


def computing_lines(records: list[Record]) -> list[str]:
    """Return what to know of where numbers were computed: on several kinds of devices, or in bfloat16."""
    kinds, lines = sorted({e.kind for r in records for e in r.environments if e.device}), []
    if len(kinds) > 1:
        lines.append(f"computed on {' and '.join(kinds)}, which differ in last digits")
    if any(r.cell.amp and not r.protocol.quant.is_fp for r in records):
        lines.append("bfloat16 moves the levels of 8-bit grids by up to a step")
    return lines


def problems(section: Section) -> list[str]:
    """Return a line for every cell that failed, was skipped or whose flatness failed, with its reason.

    Without rows, a line says which cells were left out.
    """
    without = [r for row in section.rows.values() for r in row if r.flatness.reasons]
    return [
        *(f"{r.status}: {r.cell.label}: {r.reason}" for r in section.problems),
        *(f"flatness failed: {r.cell.label}: {r.flatness.reasons}" for r in without),
        *([] if section.rows else revisions_line(section.older)),
    ]


def method_of(cell: Cell) -> str:
    """Return the method's name for tables: `anchor`, `anchor(coupling=elastic)`, `qat 2x steps`."""
    step_multiplier = f" {cell.step_multiplier}x steps" if cell.step_multiplier > 1 else ""
    args = ", ".join(f"{key}={value}" for key, value in cell.method_args)
    version = f" v{cell.method_version}" if cell.method_version > 1 else ""
    return cell.method + version + (f"({args})" if args else "") + step_multiplier


def settings_text(cell: Cell) -> str:
    """Return `strength=0.5, recipe.lr=0.1`: the settings of a cell that are not at their defaults."""
    method = [f"{key}={value}" for key, value in cell.method_args]
    return ", ".join([*method, *(f"recipe.{key}={value}" for key, value in cell.recipe_args)])


def row_key(cell: Cell) -> RowKey:
    """Return the row that a cell belongs to, unless that is marked with a revision."""
    return method_of(cell), cell.bits


def key_of(row: Mapping[Any, Any]) -> RowKey:
    """Return which row the numbers of a table of methods are of."""
    return row["method"], row["bits"]


def row_label(key: RowKey) -> str:
    """Return `qat 4`, or `fp`, as the name of a row or column for (method, bits)."""
    method, bits = key
    return method if method == bits else f"{method} {bits}"


def bits_in_words(bits: str) -> str:
    """Return `4 bits`, or a longer text of bits as it is."""
    return f"{bits} bits" if bits.isdecimal() else bits


def section_title(cell: Cell) -> str:
    """Return the title of the section of a cell: what its rows have in common."""
    parts = [f"{cell.suite} v{cell.suite_version}", cell.model, f"recipe {cell.recipe}"]
    parts += [f"{key}={value}" for key, value in cell.recipe_args]
    parts += [f"weights {cell.weights_name(8)}"] if cell.weights else []
    parts += [f"{cell.limit} images a shift"] if cell.limit else []
    parts += [f"window {cell.window}"] if cell.window else []
    parts += [f"adapted {cell.adapt}"] if cell.adapt else []
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
        method_of(record.cell),
    )
