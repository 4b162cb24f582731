"""What a shell offers when Tab is pressed behind an option: names of plugins, and stored cells."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from flatqat import registry
from flatqat.errors import FlatqatError

Completer = Callable[[str], list[str]]


def names_of(kind: registry.Kind) -> Completer:
    """Return what completes the last of several names that are separated by commas."""

    def complete(incomplete: str) -> list[str]:
        before, comma, last = incomplete.rpartition(",")
        return [f"{before}{comma}{name}" for name in registry.names(kind) if name.startswith(last)]

    return complete


def cells(ctx: Any, incomplete: str) -> list[str]:
    """Return the labels of stored cells that begin with a text."""
    from flatqat.bench.records.store import Store

    results = Path(ctx.params.get("results") or "results")
    try:
        labels = [record.cell.label for record in Store(results).records()]
    except FlatqatError:  # there is nothing to offer in a damaged folder
        return []
    return [label for label in labels if label.startswith(incomplete)]
