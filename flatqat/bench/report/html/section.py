"""One section of the page: its sentence, plots, tables and cells, and the numbers behind them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flatqat.bench.records.sections import Section, key_of, problems
from flatqat.bench.records.store import Store
from flatqat.bench.report.chosen import usual
from flatqat.bench.report.families import Family, rows_of_methods
from flatqat.bench.report.html import cells, data, tables
from flatqat.bench.report.html.answers import NONE, Answers, answers
from flatqat.bench.report.html.cells import CellBlock, Pool
from flatqat.bench.report.html.headline import headline
from flatqat.bench.report.html.member import Member, member_of
from flatqat.bench.report.html.plots import of_rows
from flatqat.bench.report.html.row_styles import MOST_LINES, RowStyle, row_styles_of
from flatqat.bench.report.html.scatter import Figure
from flatqat.bench.report.html.tables import Table
from flatqat.bench.report.method_table import of_methods
from flatqat.bench.report.tax import ood_taxes
from flatqat.spec import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Everything about one section; where no cell is finished, its sentence alone.

    Attributes:
        section: The section, whose title and protocol are shown.
        rows: Its table of methods as numbers.
        headline: Its sentence.
        answers: What its study answers.
        styles: Its rows as plots tell them apart.
        methods: The table of methods.
        figures: The plots of rows.
        members: What is shown shift by shift.
        cells: Its cells.
    """

    section: Section
    headline: str
    rows: Sequence[Mapping[Any, Any]] = ()
    answers: Answers = NONE
    styles: Sequence[RowStyle] = ()
    methods: Table | None = None
    figures: Sequence[Figure] = ()
    members: Sequence[Member] = ()
    cells: Sequence[CellBlock] = ()

    @property
    def problems(self) -> list[str]:
        """A line for each cell that is not shown in full."""
        return problems(self.section)

    @property
    def has_classes(self) -> bool:
        """Whether there are tables of classes."""
        return any(table.style == "classes" for member in self.members for table in member.tables)

    @property
    def has_lines(self) -> bool:
        """Whether any plot has severities along its axis, over which a row is a line."""
        return any(member.severities for member in self.members)

    @property
    def without_lines(self) -> int:
        """How many rows are in no plot shift by shift, since there are too many."""
        return max(0, len(self.styles) - MOST_LINES)


def block(
    section: Section, store: Store, against: str, every: Sequence[Record], folder: str, pool: Pool, room: int
) -> tuple[Block, dict[str, Any]]:
    """Return a section of the page, and its numbers for the script.

    The pictures of each of its parts have `room` bytes.
    """
    title = data.plain(section.title)
    if not section.rows:
        return Block(section=section, headline=headline(section, [], {}, against)), {"title": title}
    parts = list(section.members.values()) if isinstance(section, Family) else [section]
    parts = [part for part in parts if part.rows]
    rows = rows_of_methods(section, store)
    lacking = [key_of(row) for row in rows if row["seeds_with_outcomes"] < row["seeds"]]
    styles = row_styles_of(section, against)
    members = [member_of(part, store, styles, room, titled=len(parts) > 1) for part in parts]
    drawers, numbers = cells.cells_of(section, every, folder, pool)
    answered = NONE if len(parts) > 1 else answers(parts[0], store, against, lacking)
    shown = Block(
        section=section,
        rows=rows,
        headline=headline(section, rows, ood_taxes(parts, store), against),
        answers=answered,
        styles=styles,
        methods=tables.of_shown("Methods", usual(of_methods(section, rows))),
        figures=of_rows(
            section,
            rows,
            {(one.method, one.bits): one for one in styles},
            answered=bool(answered.flatness),
        ),
        members=[member for member, _ in members],
        cells=drawers,
    )
    found = {
        "title": title,
        "rows": [[data.plain(text) for text in (one.label, one.method, one.bits)] for one in styles],
        "method": data.of_rows(rows),
        "members": [numbers for _, numbers in members],
        "cells": numbers,
    }
    return shown, found
