"""The cells of a run as a few lines of text, however many there are and however small the terminal is."""

from collections.abc import Mapping, Sequence

from flatqat.console.board import STATES, TROUBLES, Board, CellState
from flatqat.console.printable import printable
from flatqat.errors import counted

Line = tuple[str, str]
"""A text and its style."""

NAMES = ("suite", "model", "method", "bits")
ALWAYS = ("method", "bits")
LEAST_NAME = 6  # characters that a name keeps
GAP = "  "
STEADY = {"ID": 5, "OOD": 5}
STATE, STATE_OF_SEVERAL = 15, 20
"""Widths for what is still to come, so that no column moves when it does."""


def cell_lines(board: Board, width: int, height: int) -> list[Line]:
    """Return a table of at most `height` lines of at most `width` characters; the last one counts the cells.

    Too many cells get a line for each method and bits; if these are too many, only the most recent have one.
    """
    cells, room = board.cells, height - 2
    single = [[cell] for cell in cells]
    if not cells or height < 1:
        return []
    if len(single) <= room:
        rows = single
    else:
        by_labels: dict[tuple[str, ...], list[CellState]] = {}
        for cell in cells:
            by_labels.setdefault(cell.row.labels, []).append(cell)
        rows = list(by_labels.values())
        rows = single if len(rows) == len(single) else rows
    kept = _most_recent(rows, max(room, 0))
    lines = _table(kept, cells, width, seeds=rows is single) if kept else []
    return [*lines, (_count(board, len(rows) - len(kept))[:width], "dim")]


def _most_recent(rows: Sequence[list[CellState]], room: int) -> list[list[CellState]]:
    """Return the rows that are worked on or have changed last, in their order."""

    def recency(at: int) -> tuple[bool, int]:
        return any(cell.activities for cell in rows[at]), max(cell.changed for cell in rows[at])

    chosen = sorted(range(len(rows)), key=recency, reverse=True)[:room]
    return [rows[at] for at in sorted(chosen)]


def _table(
    rows: Sequence[list[CellState]], cells: Sequence[CellState], width: int, *, seeds: bool
) -> list[Line]:
    """Return the lines of a header and of rows of cells."""
    shown = [
        at
        for at, name in enumerate(NAMES)
        if name in ALWAYS or len({cell.row.labels[at] for cell in cells}) > 1
    ]
    metric = "/".join(dict.fromkeys(cell.row.metric for cell in cells))
    header = [*(NAMES[at] for at in shown), *(["seed"] if seeds else []), "state", f"{metric} ID", "OOD"]
    texts = [
        [
            *(printable(row[0].row.labels[at]) for at in shown),
            *([str(row[0].row.seed)] if seeds else []),
            _state(row),
            *_means(row),
        ]
        for row in rows
    ]
    steady = {**STEADY, "state": STATE if seeds else STATE_OF_SEVERAL}
    lines = _laid_out([header, *texts], steady, len(shown), width)
    return list(zip(lines, ["bold", *map(_style, rows)], strict=True))


def _state(row: Sequence[CellState]) -> str:
    """Return the state of a cell; of several how many are over, and an activity or the furthest state."""
    activity = next(filter(None, (cell.activity for cell in row)), "")
    if len(row) == 1:
        return activity or row[0].state
    over = sum(cell.is_over for cell in row)
    if now := activity or "".join(_troubles(row)[:1]):
        return f"{over} of {len(row)}, {now}" if over else now
    furthest = max((cell.state for cell in row), key=STATES.index)
    there = sum(cell.state == furthest for cell in row)
    return f"{there} of {len(row)} {furthest}" if furthest != "waiting" else furthest


def _troubles(cells: Sequence[CellState]) -> list[str]:
    """Return how many have failed and how many were skipped, if any."""
    counts = {state: sum(cell.state == state for cell in cells) for state in TROUBLES}
    return [f"{count} {state}" for state, count in counts.items() if count]


def _means(row: Sequence[CellState]) -> list[str]:
    """Return the mean scores of the cells that are done, or else what is known of the others."""
    cells = [cell for cell in row if cell.state == "done"] or row
    columns = (
        [score for score in column if score is not None]
        for column in zip(*(cell.scores for cell in cells), strict=True)
    )
    return [f"{sum(known) / len(known):.1f}" if known else "" for known in columns]


def _style(row: Sequence[CellState]) -> str:
    if any(cell.activities for cell in row):
        return ""
    if any(cell.state in TROUBLES for cell in row):
        return "red"
    return "dim" if all(cell.state == "waiting" for cell in row) else ""


def _count(board: Board, hidden: int) -> str:
    over, every = board.counts()
    troubles = _troubles([cell for cell in board.cells if cell.row.scored])
    of_them = f" ({', '.join(troubles)})" if troubles else ""
    rest = f"; {counted(hidden, 'more row')}" if hidden else ""
    return f"{over} of {every} cells finished{of_them}{rest}"


def _laid_out(rows: Sequence[Sequence[str]], steady: Mapping[str, int], names: int, width: int) -> list[str]:
    """Return rows as lines. Names are cut to fit; where that is not enough, the last columns are left out."""
    header = rows[0]
    widths = [
        max(*(len(row[at]) for row in rows), steady.get(title.rpartition(" ")[2], 0))
        for at, title in enumerate(header)
    ]

    def too_wide() -> int:
        return sum(widths) + len(GAP) * (len(widths) - 1) - width

    while too_wide() > 0 and (widest := max(widths[:names])) > LEAST_NAME:
        widths[widths.index(widest)] -= 1
    while too_wide() > 0 and len(widths) > 1:
        widths.pop()
    left = [at < names or title == "state" for at, title in enumerate(header)]
    return [
        GAP.join(
            _cut(text, size).ljust(size) if to_left else _cut(text, size).rjust(size)
            for text, size, to_left in zip(row, widths, left, strict=False)  # columns that are left out
        ).rstrip()
        for row in rows
    ]


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"
