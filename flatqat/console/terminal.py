"""Printing: Rich on a terminal, plain text at a fixed width elsewhere.

What is printed is text, never markup, and a text cannot steer the terminal.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from flatqat.console.printable import printable_lines

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

PIPE_WIDTH = 120
UNBOUND = 10**6  # characters: more than any table has


def terminal(stderr: bool = False, **options: Any) -> "Console":
    """Return a console that prints texts as they are, without control characters, and respects NO_COLOR.

    It prints plain text if the output is not a terminal, in colors where FORCE_COLOR asks for them.
    """
    from rich.console import Console

    class PlainConsole(Console):
        def render_str(self, text: str, **settings: Any) -> Any:
            return super().render_str(printable_lines(text), **settings)

    plain: dict[str, Any] = {"stderr": stderr, "markup": False, "emoji": False, "highlight": False, **options}
    asked = Console(**plain)  # which takes FORCE_COLOR for a terminal
    if asked.is_terminal and _is_terminal(asked.file):
        return PlainConsole(**plain)
    pipe = {"force_terminal": False, "color_system": asked.color_system, "width": PIPE_WIDTH}
    return PlainConsole(**{**pipe, **plain})


def _is_terminal(stream: Any) -> bool:
    try:
        return bool(stream.isatty())
    except ValueError:  # closed
        return False


@contextmanager
def at_least(console: "Console", width: int) -> Iterator[None]:
    """Widen a console to at least `width` columns within the context."""
    before = console.width
    console.width = max(before, width)
    try:
        yield
    finally:
        console.width = before


def print_uncut(table: "Table", console: "Console") -> None:
    """Print a table without cutting texts: if it is too wide, only columns that wrap shrink."""
    from rich.measure import measure_renderables

    unbound = console.options.update(width=UNBOUND)
    lacking = 0
    for column in table.columns:
        size = measure_renderables(console, unbound, [column.header, *column.cells])
        lacking += 0 if column.no_wrap else size.maximum - size.minimum
    with at_least(console, full_width(table, console) - lacking):
        console.print(table)


def full_width(table: "Table", console: "Console") -> int:
    """Return the width of a table that neither cuts nor wraps any text."""
    return console.measure(table, options=console.options.update(width=UNBOUND)).maximum


def plain_table(
    *columns: str,
    left: tuple[str, ...] = ("cell", "what", "verdict"),
    wrapped: tuple[str, ...] = ("method", "bits"),
) -> "Table":
    """Return an empty table; columns in `left` are aligned left, and only those in `wrapped` ever wrap."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for column in columns:
        table.add_column(
            column,
            justify="left" if column in left else "right",
            no_wrap=column not in wrapped,
            overflow="fold" if column in wrapped else "ellipsis",
        )
    return table
