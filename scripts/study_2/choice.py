"""What was chosen by validation images, which alone may choose."""

from collections.abc import Iterable, Mapping

from flatqat.spec import Record
from scripts.study_2.part import table

SEED = 100
"""The seed of all searches, which no other part has."""


def choice(records: Iterable[Record], settings: Mapping[str, float | None]) -> list[str]:
    """Return a table of top-1 on `val` by settings of the method or the recipe, the best first and in bold.

    `settings` gives the value of a setting where it is at its default and a record does not name it. Empty
    for fewer than two records: nothing was chosen.
    """
    found = sorted(records, key=_on_val, reverse=True)
    if len(found) < 2:
        return []
    cells = []
    for record in found:
        values = {**settings, **dict(record.cell.method_args), **dict(record.cell.recipe_args)}
        cells.append([*(f"{values[name]:g}" for name in settings), f"{_on_val(record):.2f}"])
    cells[0] = [f"**{text}**" for text in cells[0]]
    return [table([*settings, "val"], cells)]


def best(records: Iterable[Record]) -> Record:
    """Return the record with the highest top-1 on `val`."""
    return max(records, key=_on_val)


def _on_val(record: Record) -> float:
    """Return top-1 on `val`, in percent."""
    value = record.scores["val"]["top1"].value
    assert value is not None  # of a finished run
    return value
