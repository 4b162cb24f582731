"""A table whose rows come in groups: the name of a group is printed once, wrapped beside its rows."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from flatqat.console.blocks import fitting, folded
from flatqat.console.fitted import room_on, say_left_out
from flatqat.console.printable import printable
from flatqat.console.terminal import at_least, plain_table

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

LEAST_WIDTH = 9  # of names and labels before columns are left out
GAP = 2  # spaces beside each column
INTERVAL = " ["


def print_grouped(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    console: "Console",
    dispensable: Sequence[Sequence[str]],
    styles: Sequence[str] = (),
) -> None:
    """Print a table of texts whose first column has the names of the groups and whose second labels of rows.

    Both are wrapped where needed. If that is not enough, `dispensable` columns that a terminal has no room
    for are left out, and named below the table, and at last intervals go below their values. Each row may
    have a style.
    """
    texts = [*zip(columns, *([*map(printable, row[:2]), *row[2:]] for row in rows), strict=True)]
    least = [_width(folded(text, LEAST_WIDTH) for text in column) for column in texts[:2]]
    widths = [*least, *map(_width, texts[2:])]

    def needed(kept: Sequence[int]) -> int:
        return sum(widths[place] + GAP for place in kept)

    kept = fitting(columns, dispensable, needed, room_on(console))
    if needed(kept) > room_on(console) and any(INTERVAL in name for name in columns):
        heads, *below = ([*row[:2], *map(_below, row[2:])] for row in (columns, *rows))
        print_grouped(heads, below, console, dispensable, styles)
        return
    spare = max(0, console.width - needed(kept))
    texts[1] = tuple(folded(text, least[1] + spare) for text in texts[1])  # first: a name goes on beside rows
    spare -= max(0, _width(texts[1]) - least[1])
    names, *shown = zip(*(texts[place] for place in kept), strict=True)
    with at_least(console, needed(kept)):
        console.print(_grouped(names, shown, least[0] + spare, styles or [""] * len(rows)))
    say_left_out([name for place, name in enumerate(columns) if place not in kept], console)


def _grouped(
    columns: Sequence[str], rows: Sequence[Sequence[str]], name_width: int, styles: Sequence[str]
) -> "Table":
    from rich.text import Text

    table = plain_table(*columns, left=(*columns[:2], "verdict"), wrapped=())
    for group, members in groupby(zip(rows, styles, strict=True), key=lambda row: row[0][0]):
        own, name = list(members), folded(group, name_width).split("\n")
        last = len(own) - 1
        for k, ((_, label, *others), style) in enumerate(own):
            part = "\n".join(name[k : k + 1] if k < last else name[k:])
            table.add_row(Text(part), Text(label), *others, style=style)
    return table


def _below(text: str) -> str:
    return text.replace(INTERVAL, "\n[")


def _width(texts: Iterable[str]) -> int:
    """Return how many characters the longest line has."""
    from rich.cells import cell_len

    return max(cell_len(line) for text in texts for line in text.split("\n"))
