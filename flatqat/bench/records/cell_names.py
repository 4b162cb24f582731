"""Which cells a pattern matches, and which to name in an error if it matches none or several."""

from collections.abc import Collection
from fnmatch import fnmatchcase

from flatqat.errors import listed
from flatqat.spec import Cell, Record

MOST_LISTED = 12


def candidates(records: Collection[Record], name: str) -> str:
    """Return a clause that lists cells: those whose label contains `name`, or else all."""
    labels = [record.cell.label for record in records]
    near = [label for label in labels if name.strip("*?") in label]
    return f"there are: {listed(near or labels, MOST_LISTED, empty='(no records)')}"


def begins(cell: Cell, pattern: str) -> bool:
    """Whether the id or the label of a cell begins with a pattern, with the wildcards * and ?."""
    return any(fnmatchcase(name, f"{pattern}*") for name in (cell.id, cell.label))
