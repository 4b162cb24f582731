"""What a table says, as texts, before any format: its header, its rows, and the notes that belong to it."""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

from flatqat.bench.records.paired import metric_of
from flatqat.bench.records.sections import Section, row_label
from flatqat.bench.report.by_shift import Column, rows_of
from flatqat.bench.report.caveats import floating_layers, floating_weights
from flatqat.bench.report.marks import (
    FLOATING,
    INTERVAL,
    NO_SCATTER,
    ONE_SEED,
    ONE_SEED_NOTE,
    THESE_RUNS,
    floating_note,
    floating_text,
)
from flatqat.console.printable import printable
from flatqat.console.rounded import rounded

ENDS = (" low", " high")
CLASSES = (
    "IoU in percent, of the confusion matrix of a whole shift. OOD, and conditions of several shifts: the "
    "mean over those shifts in which the class is present or predicted."
)

OF_SHIFTS = "Shown: {} in percent, the mean over seeds and over the shifts of a {}."


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A table of texts without control characters.

    Attributes:
        header: The names of the columns; they may go over lines.
        rows: The texts of every row.
        labels: How many of the first columns name a row.
        repeated: How many of the first columns stand in every block if the table is too wide for one.
        groups: For each column a name; columns of one name stay together in a block.
        dispensable: Names of columns that a narrow terminal leaves out, in this order.
        notes: Sentences about this table alone.
        notes_of: By column a sentence about it in this table alone.
        definitions: By column a sentence about it, the same for every table that has it.
        strong: Rows and columns of the texts that a page prints in bold.
        on_request: Names of columns that are shown only where they are asked for.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    labels: int
    repeated: int
    groups: Sequence[str]
    dispensable: Sequence[Sequence[str]] = ()
    notes: Sequence[str] = ()
    definitions: Mapping[str, str] = field(default_factory=dict)
    strong: Set[tuple[int, int]] = frozenset()
    on_request: Sequence[str] = ()
    notes_of: Mapping[str, str] = field(default_factory=dict)

    def said(self, without: Sequence[str] = ()) -> list[str]:
        """Return the sentences about this table alone, without those on some columns."""
        return [*self.notes, *(text for name, text in self.notes_of.items() if name not in without)]

    def kept(self, columns: Sequence[int]) -> "Shown":
        """Return the table with these columns alone."""
        return Shown(
            header=[self.header[c] for c in columns],
            rows=[[row[c] for c in columns] for row in self.rows],
            labels=self.labels,
            repeated=self.repeated,
            groups=[self.groups[c] for c in columns],
        )


def by_column(section: Section, view: str, columns: Mapping[str, Column]) -> Shown:
    """Return the table of a view with a column for each method, with errors; the reference is repeated."""
    names = _without_ends(columns)
    rows = [
        [_label(row), *(with_error({n: of.get(row) for n, of in columns.items()}, n, ENDS) for n in names)]
        for row in rows_of(columns)
    ]
    marks, notes = marks_of(section, rows)
    return Shown(
        header=[view, *(f"{_label(name)} {marks.get(name, '')}".rstrip() for name in names)],
        rows=rows,
        labels=1,
        repeated=2 if section.reference and len(names) > 1 else 1,
        groups=[view, *map(_label, names)],
        notes=notes,
        definitions={view: OF_SHIFTS.format(metric_of(section.first).title, "row")},
    )


def of_classes(section: Section, columns: Mapping[str, Sequence[Any]]) -> Shown:
    """Return the table of classes and conditions, with errors; the columns of a method stay together."""
    names, labels = _without_ends(columns), [row_label(key) for key in section.rows]
    groups = [max((m for m in labels if name.startswith(f"{m} ")), key=len, default="") for name in names]
    rows = [
        [_label(row[names[0]]), *(with_error(row, name, ENDS) for name in names[1:])]
        for row in (dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True))
    ]
    marks, notes = marks_of(section, rows)
    return Shown(
        header=[
            f"{_label(n)} {marks.get(group, '')}".rstrip() for n, group in zip(names, groups, strict=True)
        ],
        rows=rows,
        labels=1,
        repeated=1,
        groups=groups,
        notes=notes,
        definitions={names[0]: CLASSES},
    )


def _without_ends(columns: Iterable[str]) -> list[str]:
    """Return the columns of values, without those of the ends of their intervals."""
    known = list(columns)
    return [n for n in known if not any(n.endswith(e) and n.removesuffix(e) in known for e in ENDS)]


def marks_of(section: Section, rows: Sequence[Sequence[str]]) -> tuple[Mapping[str, str], list[str]]:
    """Return the marks behind the label of each method in a table with a column for each, and its notes."""
    methods = {row_label(key): records for key, records in section.rows.items()}
    has_errors = any("±" in text for row in rows for text in row)
    one_seed = [m for m, records in methods.items() if len(records) == 1] if has_errors else []
    these_runs, floating = len(one_seed) == len(methods), _floating(section)
    marks = {m: ONE_SEED for m in one_seed if not these_runs}
    marks |= {m: marks.get(m, "") + FLOATING for m in floating}
    return marks, [
        *([THESE_RUNS if these_runs else INTERVAL] if has_errors else []),
        *([ONE_SEED_NOTE] if one_seed and not these_runs else []),
        *no_scatter_note(section, rows),
        *floating_note(floating),
    ]


def _floating(section: Section) -> dict[str, str]:
    """Return how much is in floating point, by the label of each method where it is worth a mark."""
    texts = {
        row_label(key): floating_text(floating_weights(records), floating_layers(records))
        for key, records in section.rows.items()
    }
    return {label: text for label, text in texts.items() if text}


def number(value: Any, form: str) -> str:
    """Return a number as text, `-` if it is not known."""
    if is_unknown(value):
        return "-"
    return rounded(value, form) if form.endswith("f") else format(value, form)


def with_error(row: Mapping[Any, Any], column: str, ends: Sequence[str] = ("_low", "_high")) -> str:
    """Return a number with half of its 95% interval, if that is known."""
    value, known = number(row[column], ".1f"), ends_of(row, column, ends)
    return f"{value} ±{number((known[1] - known[0]) / 2, '.1f')}" if known else value


def ends_of(
    row: Mapping[Any, Any], column: str, ends: Sequence[str] = ("_low", "_high")
) -> tuple[float, float] | None:
    """Return both ends of the 95% interval of a number, if they are known."""
    low, high = (row.get(f"{column}{end}") for end in ends)
    return None if low is None or high is None or is_unknown(high - low) else (low, high)


def no_scatter_note(section: Section, rows: Iterable[Iterable[str]]) -> list[str]:
    """Return the note on values at an end of their scale that have no error beside others that have one.

    Where images are right or wrong as a whole, such values have errors, too.
    """
    if metric_of(section.first).whole:
        return []
    texts = {text for row in rows for text in row}
    return [NO_SCATTER] if texts & {"0.0", "100.0"} and any("±" in text for text in texts) else []


def is_unknown(value: Any) -> bool:
    """Whether a value of a table is None or NaN."""
    return value is None or value != value


def _label(value: Any) -> str:
    return printable(str(value))
