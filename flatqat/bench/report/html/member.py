"""What the page shows shift by shift, of a section or of one domain: plots against severity, and tables."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flatqat.bench.records.paired import metric_of
from flatqat.bench.records.sections import Section
from flatqat.bench.records.store import Store
from flatqat.bench.report.by_class import class_columns
from flatqat.bench.report.by_method import View
from flatqat.bench.report.by_shift import Column, shift_columns
from flatqat.bench.report.html import data, tables
from flatqat.bench.report.html.lines import Lines, panels_of
from flatqat.bench.report.html.series import Series
from flatqat.bench.report.html.tables import Table
from flatqat.bench.report.shown import CLASSES, OF_SHIFTS
from flatqat.bench.report.tax import ID, OOD, tax_columns, taxes

TAX_DECIMALS = 3  # of points, of which tables show one
TAX_NOTE = (
    "Each method minus full precision on the same images, with 95% intervals over seeds and images, or with "
    "one seed over images alone; below zero it has lost. The intervals are of single points, with no "
    "correction for their number; a few long ones end at the edge of their plot."
)
SHIFT_VIEWS: tuple[View, ...] = ("shift", "family", "severity")
NAMES: dict[View, str] = {"family": "Families of shifts", "severity": "Severities"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """What is shown shift by shift: of a section, or of one domain of a family.

    Attributes:
        title: Its title, where there are several.
        groups: Small plots by what they show, with a note and a picture for each corruption.
        tables: Its tables.
        families: The families of its shifts, to choose from.
        severities: The severities of its shifts, to choose from.
    """

    title: str
    groups: Sequence[tuple[str, str, Sequence[tuple[str, str]]]]
    tables: Sequence[Table]
    families: Sequence[str]
    severities: Sequence[int]


def member_of(
    section: Section, store: Store, series: Sequence[Series], *, titled: bool
) -> tuple[Member, dict[str, Any]]:
    """Return what is shown of a section shift by shift, and its numbers for the script."""
    record = next(iter(section.rows.values()))[0]
    metric, shifts = metric_of(record), record.protocol.shifts
    columns: dict[str, dict[str, Column]] = {
        view: shift_columns(section, view, store) for view in SHIFT_VIEWS
    }
    found = taxes(section, store)
    tax = tax_columns(section, found)
    scores = Lines(what=f"{metric.title}, %", series=series, columns=columns["shift"])
    lost = Lines(what="tax, points", series=series, columns=tax, of_zero=True)
    drawn = (scores.pictures(panels_of(section, "id")), lost.pictures(panels_of(section, ID)))
    severities = sorted({info.severity for info in shifts.values() if info.severity is not None})
    along = "against severity" if severities else "by shift"
    names = ((f"Scores {along}", OF_SHIFTS.format(metric.title)), (f"Tax {along}", TAX_NOTE))
    shown = [tables.heat_map(section, found, metric.title)] if found.get(OOD) else []
    note = f"{OF_SHIFTS.format(metric.title)} ±: half of the 95% interval."
    shown += [
        tables.turned(name, section, columns[view], note)
        for view, name in NAMES.items()
        if view == "family" or severities
    ]
    numbers = {
        "title": data.plain(section.title),
        "metric": metric.title,
        "shifts": {
            data.plain(name): [data.plain(info.family), info.severity] for name, info in shifts.items()
        },
        **{view: data.of_columns(view, of) for view, of in columns.items()},
        "tax": data.of_columns("shift", tax, TAX_DECIMALS),
    }
    if metric.by_class:
        classes = class_columns(section, store)
        shown.append(tables.of_classes(section, classes, CLASSES))
        numbers["class"] = data.of_lists(classes)
    member = Member(
        title=section.title if titled else "",
        groups=[
            (name, note, [(panel.name, picture) for panel, picture in pictures])
            for (name, note), pictures in zip(names, drawn, strict=True)
            if pictures
        ],
        tables=shown,
        families=sorted({str(data.plain(info.family)) for info in shifts.values()}),
        severities=severities,
    )
    return member, numbers
