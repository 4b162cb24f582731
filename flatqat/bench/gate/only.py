"""The part of a check that patterns name: some cells, some rows of all cells, or some rows of some cells."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from flatqat.bench.gate.compared import ComparedRuns
from flatqat.errors import unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class Only:
    """What some patterns choose, which is everything if there are none.

    A pattern stands for the name of a cell as the table has it (`qat 4`), for its label (`tiny-qat-*`), for
    the name of a row (`ood`), or for both (`qat 4 ood`).

    Attributes:
        patterns: The patterns, with the wildcards `*`, `?` and `[...]`.
        labels: The labels of the cells of each name.
        rows: The names of all rows.
    """

    patterns: Sequence[str]
    labels: Mapping[str, Sequence[str]]
    rows: Collection[str]

    def __post_init__(self) -> None:
        """Raise UsageError, with the choices, on a pattern that stands for nothing."""
        for pattern in self.patterns:
            alone = (_matches(pattern, c, r, self.labels[c]) for c in self.labels for r in self.rows)
            if not any(alone):
                raise unknown("cell or row", pattern, dict.fromkeys([*self.labels, *self.rows]))

    def row(self, cell: str, row: str) -> bool:
        """Whether a row of a cell is chosen."""
        labels = self.labels.get(cell, ())
        return not self.patterns or any(_matches(pattern, cell, row, labels) for pattern in self.patterns)

    def cell(self, cell: str) -> bool:
        """Whether any row of a cell is chosen."""
        return any(self.row(cell, row) for row in self.rows)


def narrowed(compared: ComparedRuns, patterns: Sequence[str], rows: Collection[str]) -> ComparedRuns:
    """Return the part that patterns name, out of all `rows`. Raises UsageError on one that names nothing."""
    if not patterns:
        return compared
    only = Only(patterns=patterns, labels=compared.labels, rows=rows)
    differences = {text: [*filter(only.cell, cells)] for text, cells in compared.differences.items()}
    return replace(
        compared,
        rows=[row for row in compared.rows if only.row(row.cell, row.what)],
        missing=[(cell, reason) for cell, reason in compared.missing if only.cell(cell)],
        undefined=[(cell, row) for cell, row in compared.undefined if only.row(cell, row)],
        differences={text: cells for text, cells in differences.items() if cells},
        extra=[*filter(only.cell, compared.extra)],
    )


def _matches(pattern: str, cell: str, row: str, labels: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for name in (cell, row, f"{cell} {row}", *labels))
