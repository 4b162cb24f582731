"""Two rows of one folder, such as two methods: paired by image and by seed, as tables and studies do it."""

from collections.abc import Sequence

from flatqat.bench.diff.difference import Diff, Difference, Part
from flatqat.bench.gate.comparable import odd_shift, other_images
from flatqat.bench.gate.compare import are_identical
from flatqat.bench.gate.shift_groups import By, shift_groups
from flatqat.bench.records.cell_names import begins
from flatqat.bench.records.paired import Runs, components_of
from flatqat.bench.records.sections import RowKey, Section, bits_alone, method_alone, names_of, row_label
from flatqat.bench.records.store import Store
from flatqat.metrics.contributions import equal_weights
from flatqat.spec import Record

Rows = dict[RowKey, list[Record]]
"""Finished records by (method, bits), as a section has them."""


def rows_named(section: Section, name: str) -> Rows:
    """Return the rows of a method (`qat`), the row `qat 4`, or those of cells whose label or id begins so.

    Where no row has the name as its label, one that may be asked for by it has it, see `names_of`; and where
    none has that either, all rows of a method with other settings (`anchor` for `anchor(strength=0.3)`). Bits
    need no version of the quantizer (`ptq 4@apot` for `ptq 4@apot v2`).
    """
    labels = {key: (key[0], row_label(key)) for key in section.rows}
    every = {
        (m, bits): [n for own in names_of(m) for n in (own, row_label((own, bits)))] for m, bits in labels
    }
    alone = {(m, bits): [a, row_label((a, bits))] for m, bits in labels for a in [method_alone(m)]}
    plain = {
        (m, bits): [row_label((n, bits_alone(bits))) for n in (*names_of(m), method_alone(m))]
        for m, bits in labels
    }
    for names in (labels, every, alone, plain):
        if named := {key: records for key, records in section.rows.items() if name in names[key]}:
            return named
    begun = {key: [r for r in records if begins(r.cell, name)] for key, records in section.rows.items()}
    return {key: records for key, records in begun.items() if records}


def diff_of_rows(a: str, b: str, rows: Sequence[tuple[str, Rows, Rows]], store: Store, by: By) -> Diff:
    """Return the differences of two rows, or of the rows of two methods at the same bits, in each section.

    `rows` has for each section its title, and the rows that `a` and `b` name.
    """
    parts = [_part(title, ours, theirs, store, by) for title, ours, theirs in rows if ours or theirs]
    return Diff(a=a, b=b, parts=parts)


def _part(title: str, ours: Rows, theirs: Rows, store: Store, by: By) -> Part:
    found: list[Difference] = []
    missing, compared = [], set()
    for key, other in _pairs(ours, theirs):
        name = f"{row_label(key)} → {row_label(other)}"
        compared |= {key, other}
        rows, reasons = _compared(name, ours[key], theirs[other], store, by)
        found += rows
        missing += [(name, reason) for reason in reasons]
    for side, where in ((ours, "B"), (theirs, "A")):
        missing += [
            (row_label(key), f"{where} has no row to compare it with") for key in side if key not in compared
        ]
    return Part(title=title, rows=found, missing=missing, differs={})


def _pairs(ours: Rows, theirs: Rows) -> list[tuple[RowKey, RowKey]]:
    """Return the rows of the same bits; where there are none and one side has a single row, that with all."""
    every = [(key, other) for key in ours for other in theirs if ours[key] != theirs[other]]
    alike = [(key, other) for key, other in every if key[1] == other[1]]
    return alike or (every if min(len(ours), len(theirs)) == 1 else [])


def _compared(
    name: str, ours: Sequence[Record], theirs: Sequence[Record], store: Store, by: By
) -> tuple[list[Difference], list[str]]:
    """Return the differences of two rows, and why there are no others, or none of some seeds."""
    sides = [Runs.of(records, store) for records in (ours, theirs)]
    shifts, others = (side.record.protocol.shifts for side in sides)
    if odd := odd_shift(shifts, others):
        return [], [f"the shifts differ, such as {odd}"]
    stored = [{seed for seed, values in side.values.items() if values} for side in sides]
    if not all(stored):
        return [], ["the outcomes of images are not stored"]
    lacking = [
        f"seed {record.cell.seed}: the outcomes of images are not stored: {store.outcomes_path(record.cell)}"
        for records, of_side in zip((ours, theirs), stored, strict=True)
        for record in records
        if record.cell.seed not in of_side
    ]
    if not (seeds := stored[0] & stored[1]):
        listed = (", ".join(map(str, sorted(of_side))) for of_side in stored)
        return [], [f"no seed in common: {' and '.join(listed)}"]
    a, b = (side.of_seeds(seeds) for side in sides)
    if images := other_images(shifts, a.values, b.values):
        return [], [images]
    found, undefined = [], []
    for what, members in shift_groups(shifts, by):
        weights = equal_weights(members)
        parts = {"a": a.shares(weights), "b": b.shares(weights)}
        components = components_of([parts])
        if components is None:
            undefined.append(f"{what} is undefined")
            continue
        means = components.means.tolist()
        estimate = components.difference(1, 0)
        found.append(
            Difference(
                cell=name,
                what=what,
                a=means[0],
                b=means[1],
                estimate=estimate,
                seeds=(len(seeds), len(seeds)),
                identical=are_identical(a.values, b.values, members),
            )
        )
    return found, lacking + undefined
