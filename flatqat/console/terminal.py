"""Printing: Rich on a terminal, plain text at a fixed width elsewhere."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

PIPE_WIDTH = 120


def terminal(stderr: bool = False) -> "Console":
    """Return a console that respects NO_COLOR, and prints plain text if the output is not a terminal."""
    from rich.console import Console

    console = Console(stderr=stderr)
    return console if console.is_terminal else Console(stderr=stderr, width=PIPE_WIDTH)


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
