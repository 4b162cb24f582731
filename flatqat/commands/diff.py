"""`flatqat bench diff`: two folders of results, or two rows of one, compared image by image."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flatqat.commands.of_results import Results
from flatqat.commands.options import argument, option

if TYPE_CHECKING:
    from flatqat.bench.diff.difference import Diff

DISPENSABLE = (("A", "B"), ("p",))
"""Columns that a terminal goes without where it is too narrow, in this order."""


def diff(
    a: Annotated[str, argument("A", "A results folder; or a row of one, such as qat or 'qat 4'.")],
    b: Annotated[str, argument("B", "Another folder, or another row.")],
    results: Results = Path("results"),
    by: Annotated[str, option("NAME", "Rows for each family or shift.")] = "family",
    form: Annotated[str, option("NAME", "Format: table, md, csv or json.", "--format")] = "table",
    output: Annotated[
        Path | None, option("FILE", "Write to this file instead of the terminal.", "--output", "-o")
    ] = None,
) -> None:
    """Compare two results folders, or two rows, image by image.

    A word with a slash is a folder. Another one is a folder or a row of --results, whichever there is: a
    method with all its bits, a row of the table, or cells whose label begins so. What cannot be compared is
    listed with the reason.

    \b
    Exit codes:
      0  something was compared
      2  wrong usage, such as a word that is a folder and a row
      3  nothing can be compared

    \b
    Examples:
      flatqat bench diff runs/before runs/after
      flatqat bench diff qat anchor --results runs --by shift
      flatqat bench diff 'qat 4' 'qat 3' --format md
    """
    from flatqat.bench.diff.as_text import as_csv, as_json, as_markdown
    from flatqat.bench.diff.sides import diff as compare
    from flatqat.bench.gate.shift_groups import BY
    from flatqat.bench.records.files import write_output
    from flatqat.commands.written import check_output, say_written
    from flatqat.errors import choose
    from flatqat.exit_codes import INCOMPLETE, OK

    forms = {"table": as_markdown, "md": as_markdown, "csv": as_csv, "json": as_json}
    known, view = choose("format", form, forms), choose("value of --by", by, BY)
    check_output("--output", output, (results, Path(a), Path(b)), [Path(a), Path(b)])
    found = compare(a, b, results, view)
    if output is not None:
        write_output(output, forms[known](found).encode())
        say_written(output)
    elif known == "table":
        _show(found)
    else:
        typer.echo(forms[known](found), nl=False)
    raise typer.Exit(OK if found.rows else INCOMPLETE)


def _show(found: "Diff") -> None:
    """Print a diff: what could not be compared stands below its table."""
    from flatqat.bench.diff.wording import COLUMNS, cells, differing, missing, notes
    from flatqat.console.grouped import print_grouped
    from flatqat.console.terminal import terminal

    console, p_values = terminal(), iter(found.p_values())
    console.print(f"A: {found.a}", soft_wrap=True)
    console.print(f"B: {found.b}", soft_wrap=True)
    for part in found.parts:
        if part.title:
            console.print(part.title, style="bold", soft_wrap=True)
        for line in differing(part):
            console.print(line)
        if part.rows:
            rows = [cells(row, next(p_values)) for row in part.rows]
            print_grouped(COLUMNS, rows, console, DISPENSABLE)
        for line in missing(part):
            console.print(line, style="bold red")
    for line in notes(found):
        console.print(line, style="dim")
