"""A table that fits a terminal: columns that every reader can do without are left out, and no text is cut."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from flatqat.console.blocks import fitting
from flatqat.console.terminal import UNBOUND, at_least, full_width

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

LEAST_LABEL = 16  # characters that a column which wraps keeps


def print_fitting(
    columns: Sequence[str],
    dispensable: Sequence[Sequence[str]],
    table_of: Callable[[Sequence[int]], "Table"],
    console: "Console",
) -> None:
    """Print a table; `dispensable` columns that a terminal has no room for are left out, and named below it.

    `table_of` returns the table of some of the columns, given by their places.
    """

    def needed(kept: Sequence[int]) -> int:
        table = table_of(kept)
        return full_width(table, console) - sum(_too_much(table, console))

    kept = fitting(columns, dispensable, needed, room_on(console))
    table = table_of(kept)
    for column, lacking in zip(table.columns, _too_much(table, console), strict=True):
        column.min_width = LEAST_LABEL if lacking else None
    with at_least(console, needed(kept)):
        console.print(table)
    say_left_out([name for place, name in enumerate(columns) if place not in kept], console)


def room_on(console: "Console") -> int:
    """Return the greatest width of a table: without a limit in a pipe, where programs need all columns."""
    return console.width if console.is_terminal else UNBOUND


def say_left_out(names: Sequence[str], console: "Console") -> None:
    """Name the columns that a terminal had no room for, if there are any."""
    if names:
        console.print(f"left out: {', '.join(names)}; a wider terminal or a pipe has all", style="dim")


def _too_much(table: "Table", console: "Console") -> list[int]:
    """Return for each column by how many characters it can shrink."""
    from rich.measure import measure_renderables

    unbound = console.options.update(width=UNBOUND)
    sizes = [measure_renderables(console, unbound, [c.header, *c.cells]).maximum for c in table.columns]
    return [
        0 if c.no_wrap else max(0, size - LEAST_LABEL) for c, size in zip(table.columns, sizes, strict=True)
    ]
