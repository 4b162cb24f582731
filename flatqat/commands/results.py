"""`flatqat results`: what is in a results folder, and what to do with it as a whole."""

from pathlib import Path
from typing import Annotated

import typer

from flatqat.commands.completion import cells
from flatqat.commands.of_results import Results
from flatqat.commands.options import argument, flag, group, option
from flatqat.errors import UsageError, counted

results = group("results", "List, show, check, merge, compact and remove stored cells.")
Patterns = Annotated[
    list[str] | None,
    argument("CELL", "How ids or labels begin; * is any text, ? one character.", autocompletion=cells),
]
NamedPatterns = Annotated[
    list[str],
    argument("CELL", "How ids or labels begin; * is any text, ? one character.", autocompletion=cells),
]


@results.callback()
def options() -> None:
    """List, show, check, merge, compact and remove stored cells."""


@results.command("list")
def list_cells(cells: Patterns = None, results: Results = Path("results")) -> None:
    """List stored cells.

    A line has the label, whose end is the id, the recipe and other settings, the status, the size with
    weights, and when it was last run. An older cell is one that an edit of the code has replaced.

    \b
    Examples:
      flatqat results list
      flatqat results list 'tiny-qat*-s0'
    """
    from flatqat.commands.stored import print_cells

    print_cells(results, cells or [])


@results.command("show")
def show_cells(cells: NamedPatterns, results: Results = Path("results")) -> None:
    """Print how cells were made, their scores and flatness.

    Names the file of the weights, the recipe with all its values, and the command that makes the cell. In
    it, DATA stands for the data root and FILE for plugin files.

    \b
    Example:
      flatqat results show tiny-qat-4-s0
    """
    from flatqat.commands.stored import print_records

    print_records(results, cells)


@results.command("rm")
def remove_cells(
    cells: NamedPatterns,
    results: Results = Path("results"),
    yes: Annotated[bool, flag("--yes", "Remove without asking.")] = False,
) -> None:
    """Remove stored cells.

    That is their records, outcomes, pictures, sensitivity measurements and unfinished work, and weights and
    images of a gallery that no other cell needs.

    \b
    Examples:
      flatqat results rm tiny-qat-4-s0-4f1c
      flatqat results rm '*-anchor*' --results runs --yes
    """
    from flatqat.bench.records.remove import remove
    from flatqat.bench.records.store import Store
    from flatqat.commands.stored import print_cells, question

    records, store = print_cells(results, cells), Store(results)
    try:
        agreed = yes or typer.confirm(question(records, store), err=True)
    except typer.Abort as abort:
        if not isinstance(abort.__context__, EOFError):  # but an interrupt
            raise
        raise UsageError(
            "results rm: expected y or n, got no answer; --yes removes without asking"
        ) from abort
    if agreed:
        remove(records, store)
        typer.echo(f"{counted(len(records), 'cell')} removed")


@results.command("merge")
def merge(
    folders: Annotated[list[Path], argument("DIR", "Results folders.")],
    into: Annotated[Path, option("DIR", "The folder to write to: a new one, or any results folder.")],
    weights: Annotated[bool, flag("--weights/--no-weights", "Copy trained weights, too.")] = True,
) -> None:
    """Merge results folders.

    They may come from machines that shared one run. Nothing is written unless all fits together: a suite
    must have been scored on the same images everywhere, and a cell that several folders have must have the
    same numbers. The folders stay as they are, and so does what is unfinished in them. A merge that was cut
    off is continued by the same command.

    \b
    Example:
      flatqat results merge runs-a runs-b --into runs
    """
    from flatqat.bench.records.merge import merge
    from flatqat.commands.written import check_apart

    for folder in folders:
        check_apart("--into", into, folder)
    merged = merge(folders, into, weights=weights)
    for folder, added, unfinished in zip(merged.folders, merged.added, merged.unfinished, strict=True):
        rest = f"; {unfinished} unfinished, left there" if unfinished else ""
        typer.echo(f"{folder}: {counted(added, 'new cell')}{rest}")
    typer.echo(f"{into}: {counted(merged.cells, 'cell')}; {counted(merged.weights, 'weights file')} copied")
    if merged.bare:
        typer.echo(f"without outcomes, and so without intervals: {counted(merged.bare, 'cell')}")


@results.command("compact")
def compact_cells(
    folder: Annotated[Path, argument("DIR", "A results folder.")],
    into: Annotated[Path, option("DIR", "The folder to write to: a new one, or an earlier compact copy.")],
) -> None:
    """Make a small copy of results, to be committed.

    Of every image it keeps only whether it is right, which is what tables, intervals and tests of top-1 need;
    not its class nor its confidence, nor the weights and pictures. Cells of other metrics keep their
    outcomes. The folder stays as it is; the same command adds the cells that came since.

    \b
    Example:
      flatqat results compact runs --into results/study
    """
    from flatqat.bench.records.compact import compact
    from flatqat.bench.records.store import Store
    from flatqat.commands.written import check_apart

    check_apart("--into", into, folder)
    new, cells = compact(Store(folder), Store(into))
    typer.echo(f"{into}: {counted(cells, 'cell')}, {new:,} new")


@results.command("check")
def check(folder: Annotated[Path, argument("DIR", "A results folder.")]) -> None:
    """Check that results are what they say, and print their rows.

    Every record must have the shape of its schema, the id of its cell, the fingerprint of the folder's
    images, and outcomes with its hash; and the scores that follow from these outcomes are computed again:
    top-1, ECE, AUROC, mIoU, pixel accuracy and IoU. It needs neither weights nor data nor a GPU. Exits 1 if
    anything is wrong.

    \b
    Example:
      flatqat results check results
    """
    from flatqat.commands.checked import print_checked

    raise typer.Exit(print_checked(folder))


@results.command("migrate")
def migrate(folder: Annotated[Path, argument("DIR", "A results folder.")]) -> None:
    """Rewrite older records in the present format.

    Older records can be read as they are; this gives all files of a folder the same format. Every file is
    replaced in one step, and running the command again changes nothing. The ids of cells stay the same, so
    outcomes, weights and baselines still fit. Baselines are read in every format and are not rewritten.

    \b
    Example:
      flatqat results migrate results
    """
    from flatqat.bench.records.migrate import migrate
    from flatqat.bench.records.store import Store
    from flatqat.spec import SCHEMA

    records, migrated = migrate(Store(folder))
    done = f"{migrated} migrated to schema {SCHEMA}" if migrated else f"already schema {SCHEMA}"
    typer.echo(f"{counted(records, 'record')}: {done}")
