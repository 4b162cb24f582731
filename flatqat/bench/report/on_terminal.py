"""A table on a terminal, in as many blocks as its width needs; in a pipe, in one."""

from typing import TYPE_CHECKING

from flatqat.bench.report.column_names import typed
from flatqat.bench.report.shown import Shown
from flatqat.console.blocks import blocks, fitting, folded
from flatqat.console.terminal import at_least, plain_table

if TYPE_CHECKING:
    from rich.console import Console

NAME_WIDTH = 16  # characters that names get before they go over lines
LEAST_WIDTH = 9  # and before other columns go into a block of their own
LABEL_WIDTH = 32  # characters that a label other than a method's gets
METHOD = ("method", "bits")
EDGES, GAP = 2, 2  # spaces that a table and each of its columns add


def print_table(shown: Shown, console: "Console", results: str = "") -> list[str]:
    """Print a table, and return the names of the columns that a terminal had no room for.

    They are named below it with the command that shows them, to which the option `results` belongs.

    Columns that every reader can do without are left out first. If that is not enough, the others go into
    several blocks below each other, each with the labels of its rows. Only labels go over lines.
    """
    if not console.is_terminal:
        with at_least(console, _needed(shown, LABEL_WIDTH)):
            _print_block(shown, console)
        return []
    columns = fitting(
        shown.header, shown.dispensable, lambda some: _needed(shown.kept(some), NAME_WIDTH), console.width
    )
    kept = shown.kept(columns)
    widths = [width + GAP for width in _widths(kept, LEAST_WIDTH)]
    for block in blocks(widths, kept.groups, kept.repeated, console.width - EDGES):
        _print_block(kept.kept(block), console)
    gone = [name for name in shown.header if name not in kept.header]
    if gone:
        hardest = sorted(gone, key=lambda name: typed(name) == name)  # those that look otherwise when typed
        some = ",".join(["OOD", *map(typed, hardest[:2])])
        has_them = f"flatqat bench report{results} --columns {some}"
        left_out = f"left out: {', '.join(gone)}; to see them: {has_them}, or --format csv"
        console.print(left_out, style="dim")
    return gone


def _print_block(shown: Shown, console: "Console") -> None:
    header = _header(shown)
    labels = tuple(header[: shown.labels])
    table = plain_table(*header, left=labels, wrapped=labels)
    least, *others = _widths(shown, NAME_WIDTH)
    room = max(least, console.width - EDGES - sum(width + GAP for width in others))
    for name, *rest in shown.rows:
        table.add_row(folded(name, room), *rest)
    console.print(table)


def _needed(shown: Shown, name_width: int) -> int:
    return EDGES + sum(width + GAP for width in _widths(shown, name_width))


def _widths(shown: Shown, name_width: int) -> list[int]:
    """Return the least width of every column, where the names of methods take up to `name_width`."""
    columns = zip(_header(shown), *shown.rows, strict=True)
    widths = [max(len(line) for text in texts for line in text.split("\n")) for texts in columns]
    limits = [name_width if name in METHOD else LABEL_WIDTH for name in shown.header[: shown.labels]]
    return [min(width, limit) for width, limit in zip(widths, limits, strict=False)] + widths[shown.labels :]


def _header(shown: Shown) -> list[str]:
    names = shown.header[shown.labels :]
    return [*shown.header[: shown.labels], *(folded(name, NAME_WIDTH + 1) for name in names)]
