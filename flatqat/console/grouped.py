"""A table whose rows come in groups: the name of a group stands once, and goes on beside its rows."""

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from flatqat.console.blocks import folded
from flatqat.console.printable import printable
from flatqat.console.terminal import plain_table

if TYPE_CHECKING:
    from rich.table import Table

LEAST_WIDTH = 12  # of the column of names


def grouped_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    width: int,
    others: int,
    styles: Sequence[str] = (),
) -> "Table":
    """Return a table of texts, whose first column has the names of the groups and whose second may wrap, too.

    Names get what is left of `width` by the `others`. Each row may have a style.
    """
    from rich.text import Text

    table = plain_table(*columns, wrapped=tuple(columns[:2]))
    numbered = zip(rows, styles or [""] * len(rows), strict=True)
    for group, members in groupby(numbered, key=lambda row: row[0][0]):
        own, name = list(members), folded(printable(group), max(width - others, LEAST_WIDTH)).split("\n")
        last = len(own) - 1
        for k, ((_, what, *rest), style) in enumerate(own):
            part = "\n".join(name[k : k + 1] if k < last else name[k:])
            table.add_row(Text(part), Text(printable(what)), *rest, style=style)
    return table
