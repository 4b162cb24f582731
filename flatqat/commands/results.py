"""`flatqat results`: what to do with a results folder as a whole."""

from pathlib import Path
from typing import Annotated

import typer

from flatqat.commands.options import argument, group

results = group("results", "Maintain results folders.")


@results.callback()
def options() -> None:
    """Maintain results folders."""


@results.command("migrate")
def migrate(folder: Annotated[Path, argument("DIR", "A results folder.")]) -> None:
    """Rewrite older records in the present format.

    Older records can be read as they are; this gives all files of a folder the same format. Every file is
    replaced in one step, and running the command again changes nothing. The ids of cells stay the same, so
    outcomes, weights and baselines still fit. Baselines are read in both formats and are not rewritten.

    \b
    Example:
      flatqat results migrate results
    """
    from flatqat.bench.records.migrate import migrate
    from flatqat.bench.records.store import Store
    from flatqat.spec import SCHEMA

    records, migrated = migrate(Store(folder))
    done = f"{migrated} migrated to schema {SCHEMA}" if migrated else f"already schema {SCHEMA}"
    typer.echo(f"{records} records: {done}")
