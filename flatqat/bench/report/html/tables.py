"""The tables of the page as texts: rows are methods, whatever the view."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

from flatqat.bench.records.paired import ood_shifts
from flatqat.bench.records.sections import RowKey, Section, row_label
from flatqat.bench.report.by_shift import Column, rows_of
from flatqat.bench.report.shown import ENDS, Shown, marks_of, with_error
from flatqat.bench.report.tax import ID, OOD, Taxes, corruption_of, quantities
from flatqat.console.printable import printable
from flatqat.console.rounded import interval, rounded
from flatqat.metrics.estimate import Estimate

LEVELS = 5  # of color in a heat map, to either side of zero


@dataclass(frozen=True, slots=True, kw_only=True)
class TableCell:
    """A cell of a table: its text, the classes of the style sheet, and what a pointer shows."""

    text: str
    style: str = ""
    tip: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table with the method and its bits in front.

    Attributes:
        name: Its name.
        header: The names of all columns.
        rows: The cells of all rows.
        labels: How many of the first columns name a row.
        notes: Sentences below it.
        style: Classes of the style sheet.
    """

    name: str
    header: Sequence[str]
    rows: Sequence[Sequence[TableCell]]
    labels: int = 2
    notes: Sequence[str] = ()
    style: str = ""


def of_shown(name: str, shown: Shown) -> Table:
    """Return the table of methods as every format has it."""
    return Table(
        name=name,
        header=[text.replace("\n", " ") for text in shown.header],
        rows=[[TableCell(text=text) for text in row] for row in shown.rows],
        labels=shown.labels,
        notes=[*shown.said(), *shown.definitions.values()],
    )


def turned(name: str, section: Section, columns: Mapping[str, Column], note: str) -> Table:
    """Return the columns of `shift_columns` as rows: a column for each family or severity, ID first."""
    names, texts = rows_of(columns), {}
    for key in section.rows:
        label = row_label(key)
        of_row = {(each, end): columns[f"{label}{end}"].get(each) for each in names for end in ("", *ENDS)}
        texts[key] = [
            with_error({f"{end}": of_row[each, end] for end in ("", *ENDS)}, "", ENDS) for each in names
        ]
    marks, notes = marks_of(section, [*texts.values()])
    rows = [
        [*_labels(key, marks.get(row_label(key), "")), *(TableCell(text=text) for text in of_row)]
        for key, of_row in texts.items()
    ]
    header = ["ID" if each == "id" else printable(str(each)) for each in names]
    return Table(name=name, header=["method", "bits", *header], rows=rows, notes=[note, *notes])


def of_classes(section: Section, columns: Mapping[str, Sequence[object]], note: str) -> Table:
    """Return the columns of `class_columns` with a row for each method and class, a column a condition.

    Classes that no row has a right pixel of are named below instead.
    """
    classes = [printable(str(name)) for name in columns["class"]]
    names = [*columns][1 :: 1 + len(ENDS)]  # of the values alone, in the order of rows
    first = f"{row_label(next(iter(section.rows)))} "
    conditions = [name.removeprefix(first) for name in names[: len(names) // len(section.rows)]]
    never = [k for k in range(len(classes)) if not any(columns[name][k] for name in names)]
    texts = {}
    for key in section.rows:
        own = f"{row_label(key)} "
        for k in (k for k in range(len(classes)) if k not in never):
            texts[key, k] = [
                with_error({end: columns[f"{own}{which}{end}"][k] for end in ("", *ENDS)}, "", ENDS)
                for which in conditions
            ]
    marks, marked = marks_of(section, [*texts.values()])
    rows = [
        [
            *_labels(key, marks.get(row_label(key), "")),
            *(TableCell(text=text) for text in (classes[k], *of_row)),
        ]
        for (key, k), of_row in texts.items()
    ]
    header = ["method", "bits", "class", *map(printable, conditions)]
    notes = [note, *marked]
    if never:
        left_out = ", ".join(classes[k] for k in never)
        notes.append(f"Left out, since no pixel of them is right anywhere: {left_out}.")
    return Table(
        name="Classes and conditions", header=header, rows=rows, labels=3, notes=notes, style="classes"
    )


def heat_map(section: Section, found: Taxes, metric: str) -> Table:
    """Return the tax of every method on ID, OOD and each corruption; the stronger, the deeper the color."""
    sets = [name for name in found if name in (ID, OOD) or not _is_one_of_several(name, found)]
    keys = [key for key in section.rows if any(key in found[name] for name in sets)]
    largest = max((abs(found[s][k].value) for s in sets for k in keys if k in found[s]), default=0.0) or 1.0
    rows = []
    for key in keys:
        cells = [_painted(found[name].get(key), largest) for name in sets]
        of_ood = found.get(OOD, {}).get(key)
        half = TableCell(text=interval(of_ood.low, of_ood.high) if of_ood else "-", style="x")
        rows.append([*_labels(key), *cells[:2], half, *cells[2:]])
    record = section.first
    ood = set(ood_shifts(record))
    aside = [name for name in sets[2:] if not quantities(record)[name].keys() <= ood]
    reference = printable(row_label(section.reference)) if section.reference else ""
    header = [
        "method",
        "bits",
        *sets[:2],
        "OOD 95%",
        *(printable(name.replace("_", " ")) for name in sets[2:]),
    ]
    has_severities = any(info.severity is not None for info in record.protocol.shifts.values())
    kind, over = ("corruption", ", each corruption over its severities") if has_severities else ("shift", "")
    seeds = {of_set[key].seeds for of_set in found.values() for key in keys if key in of_set}
    note = (
        f"Points of {metric} minus those of {reference}{over}: below zero a method has lost. "
        f"{_sure_note(seeds)} The depth of the color is the size, up to {rounded(largest)} points."
        + (f" OOD leaves out {', '.join(map(printable, aside))}." if aside else "")
    )
    return Table(
        name=f"Tax by {kind}, minus {reference}", header=header, rows=rows, notes=[note], style="heat"
    )


def _sure_note(seeds: Set[int]) -> str:
    """Say what is bold, by the numbers of seeds that the differences are over."""
    if seeds == {1}:
        return (
            "Hover over a value for its 95% interval over images, for these training runs alone: with one "
            "seed nothing is bold."
        )
    return (
        "Bold: the 95% interval, shown on hover, excludes zero; among so many values some do by "
        f"chance.{' Of one seed nothing is bold.' * (1 in seeds)}"
    )


def _painted(one: Estimate | None, largest: float) -> TableCell:
    if one is None:
        return TableCell(text="-")
    level = round(LEVELS * abs(one.value) / largest)
    style = f"{'n' if one.value < 0 else 'p'}{level}" if level else ""
    style += " sure" * (one.seeds > 1 and not one.low <= 0 <= one.high)
    return TableCell(text=rounded(one.value, "+.1f"), style=style.strip(), tip=interval(one.low, one.high))


def _is_one_of_several(name: str, found: Taxes) -> bool:
    """Whether a set is one severity of a corruption."""
    return corruption_of(name) != name and corruption_of(name) in found


def _labels(key: RowKey, marks: str = "") -> list[TableCell]:
    method, bits = map(printable, key)
    return [TableCell(text=f"{method} {marks}".rstrip()), TableCell(text=bits)]
