"""What the page shows shift by shift, of a section or of one domain: plots, and tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flatqat.bench.records.paired import metric_of
from flatqat.bench.records.sections import Section
from flatqat.bench.records.store import Store
from flatqat.bench.report.by_class import class_columns
from flatqat.bench.report.by_method import View
from flatqat.bench.report.by_shift import Column, shift_columns
from flatqat.bench.report.corruption_panels import Panel, panels_of
from flatqat.bench.report.html import data, tables
from flatqat.bench.report.html.gallery import Gallery, gallery_of
from flatqat.bench.report.html.lines import Lines
from flatqat.bench.report.html.row_styles import RowStyle
from flatqat.bench.report.html.tables import Table
from flatqat.bench.report.shown import CLASSES, OF_SHIFTS
from flatqat.bench.report.tax import ID, OOD, Taxes, tax_columns, taxes
from flatqat.metrics.metric import Metric
from flatqat.spec import ShiftInfo

TAX_DECIMALS = 3  # of points, of which tables show one
SCORES_NOTE = "Shown: {} in percent, the mean over seeds."
TAX_NOTE = (
    "Each method minus full precision on the same images, with 95% intervals over seeds and images, or with "
    "one seed over images alone; below zero it has lost. The intervals are of single points, with no "
    "correction for their number; a few long ones end at the edge of their plot."
)
SHIFT_VIEWS: tuple[View, ...] = ("shift", "family", "severity")
Columns = Mapping[str, Column]


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Small plots that show the same of different corruptions.

    Attributes:
        name: What they show.
        note: How to read them.
        pictures: The panel of each corruption and its picture.
    """

    name: str
    note: str
    pictures: Sequence[tuple[Panel, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """What is shown shift by shift: of a section, or of one domain of a family.

    Attributes:
        title: Its title, where there are several.
        groups: Its small plots by what they show.
        tables: Its tables.
        families: The families of its shifts, to choose from.
        severities: The severities of its shifts, to choose from.
        gallery: Its pictures, if its task has any.
    """

    title: str
    groups: Sequence[Group]
    tables: Sequence[Table]
    families: Sequence[str]
    severities: Sequence[int]
    gallery: Gallery | None


def member_of(
    section: Section, store: Store, styles: Sequence[RowStyle], room: int, *, titled: bool
) -> tuple[Member, dict[str, Any]]:
    """Return what is shown of a section shift by shift, and its numbers for the script.

    Its pictures have `room` bytes.
    """
    columns: dict[str, Columns] = {view: shift_columns(section, view, store) for view in SHIFT_VIEWS}
    found = taxes(section, store)
    tax, classes = tax_columns(section, found), {}
    if _metric(section).by_class:
        classes = class_columns(section, store)
    shifts = _shifts(section).values()
    member = Member(
        title=section.title if titled else "",
        groups=_groups(section, styles, columns["shift"], tax),
        tables=_tables(section, columns, found, classes),
        families=sorted({str(data.plain(info.family)) for info in shifts}),
        severities=_severities(section),
        gallery=gallery_of(section, store, styles, room),
    )
    return member, {
        "title": data.plain(section.title),
        "metric": _metric(section).title,
        "shifts": {data.plain(n): [data.plain(i.family), i.severity] for n, i in _shifts(section).items()},
        **{view: data.of_columns(view, of) for view, of in columns.items()},
        "tax": data.of_columns("shift", tax, TAX_DECIMALS),
        **({"class": data.of_lists(classes)} if classes else {}),
    }


def _groups(section: Section, styles: Sequence[RowStyle], scores: Columns, tax: Columns) -> list[Group]:
    metric, along = _metric(section).title, "against severity" if _severities(section) else "by shift"
    of_scores = Lines(what=f"{metric}, %", styles=styles, columns=scores)
    of_tax = Lines(what="tax, points", styles=styles, columns=tax, of_zero=True)
    groups = [
        Group(
            name=f"Scores {along}",
            note=SCORES_NOTE.format(metric),
            pictures=of_scores.pictures(panels_of(section, "id")),
        ),
        Group(name=f"Tax {along}", note=TAX_NOTE, pictures=of_tax.pictures(panels_of(section, ID))),
    ]
    return [group for group in groups if group.pictures]


def _tables(
    section: Section,
    columns: Mapping[str, Columns],
    found: Taxes,
    classes: Mapping[str, Sequence[Any]],
) -> list[Table]:
    metric = _metric(section).title
    note = OF_SHIFTS.format(metric, "column")
    shown = [tables.heat_map(section, found, metric)] if found.get(OOD) else []
    shown.append(tables.turned("Families of shifts", section, columns["family"], note))
    if _severities(section):
        shown.append(tables.turned("Severities", section, columns["severity"], note))
    if classes:
        shown.append(tables.of_classes(section, classes, CLASSES))
    return shown


def _severities(section: Section) -> list[int]:
    return sorted({info.severity for info in _shifts(section).values() if info.severity is not None})


def _shifts(section: Section) -> Mapping[str, ShiftInfo]:
    return section.first.protocol.shifts


def _metric(section: Section) -> Metric:
    return metric_of(section.first)
