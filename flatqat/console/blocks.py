"""How a table that is too wide loses columns or is split into blocks, and how long names are wrapped."""

import re
from collections.abc import Callable, Sequence
from itertools import groupby

PLACES = ("(,/; ", "=", "-")  # signs that a line may end with, the better ones first


def fitting(
    header: Sequence[str],
    dispensable: Sequence[Sequence[str]],
    needed: Callable[[Sequence[int]], int],
    width: int,
) -> list[int]:
    """Return the columns that are kept so that a table fits a width.

    Those that are `dispensable` are left out in this order, names of one entry together, while the columns
    that are left need more than that (`needed`).
    """
    kept = list(range(len(header)))
    for names in dispensable:
        if needed(kept) <= width:
            break
        kept = [column for column in kept if header[column] not in names]
    return kept


def blocks(widths: Sequence[int], groups: Sequence[str], repeated: int, room: int) -> list[list[int]]:
    """Return the columns of every block of a table: the first `repeated`, and of the others what has room.

    `widths` and `groups` have an entry for each column. Columns of one group stay together if a block has
    room for all of them. A block has at least one column that is not repeated.
    """
    found: list[list[int]] = [[]]

    def has_room(columns: Sequence[int]) -> bool:
        taken: list[int] = [*range(repeated), *found[-1], *columns]
        return sum(widths[column] for column in taken) <= room

    for _, group in groupby(range(repeated, len(widths)), key=groups.__getitem__):
        columns = list(group)
        if found[-1] and not has_room(columns):
            found.append([])
        for column in columns:
            if found[-1] and not has_room([column]):
                found.append([])
            found[-1].append(column)
    return [[*range(repeated), *block] for block in found]


def folded(name: str, width: int) -> str:
    """Return a name over lines of at most `width` characters, broken behind `( , / ;` or a space.

    Where that is not enough, also behind `=`, and then behind `-`. A part without any such place stays whole.
    A name that has line breaks is returned as it is.
    """
    if "\n" in name:
        return name
    lines = [""]
    for part in _parts(name, width, PLACES):
        if lines[-1] and len((lines[-1] + part).rstrip()) > width:
            lines.append("")
        lines[-1] += part
    return "\n".join(line.strip() for line in lines)


def _parts(name: str, width: int, places: Sequence[str]) -> list[str]:
    """Return the parts of a name between places to break it, finer ones only in a part that is too long."""
    if len(name.rstrip()) <= width or not places:
        return [name]
    return [
        piece for part in re.split(f"(?<=[{places[0]}])", name) for piece in _parts(part, width, places[1:])
    ]
