"""How a stored cell was made: its protocol, its start, its recipe, and the command that makes it."""

from collections.abc import Sequence
from dataclasses import asdict

from flatqat.bench.plan.command_lines import commands
from flatqat.bench.records.sections import protocol_line, section_title
from flatqat.spec import Record


def made(record: Record, among: Sequence[Record], results: str) -> list[tuple[str, str]]:
    """Return names and texts about a finished cell.

    Other records, `among` which it is, may name its weights file; `results` is the folder that the command
    writes to.
    """
    protocol, cell = record.protocol, record.cell
    (command,) = commands([record], results, among=among)
    settings = ", ".join(f"{key} {value}" for key, value in asdict(protocol.recipe).items())
    return [
        ("protocol", f"{section_title(record.cell)}; {protocol_line([record])}"),
        ("starts from", f"{protocol.parent}; {protocol.recipe.steps} steps"),
        (f"recipe {cell.recipe}", settings),
        ("command", command),
    ]
