"""Cells whose network is another one on each set have no network to export, measure or show."""

from flatqat.errors import UsageError
from flatqat.spec import Cell


def check_not_adapted(cell: Cell) -> None:
    """Raise UsageError if a cell was adapted to each set that it was scored on."""
    if cell.adapt:
        expected = "expected one that is scored as it was trained"
        got = f"got one that was adapted to each set (--adapt {cell.adapt}), with other statistics on each"
        raise UsageError(f"cell {cell.label}: {expected}, {got}; name the one that was run without --adapt")
