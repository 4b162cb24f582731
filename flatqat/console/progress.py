"""Progress with an ETA, on stderr: a live display on a terminal, an occasional plain line elsewhere."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from flatqat.console.board import UNKNOWN, Board, Doing, Pair, Row, State, end_line

Advance = Callable[[int], None]

PLAIN_SECONDS = 15.0


@contextmanager
def part(advance: Advance, steps: int) -> Iterator[Advance]:
    """Count a part of a task that takes at most `steps`; at its end the rest of them counts as done."""
    done = 0

    def count(n: int) -> None:
        nonlocal done
        done += n
        advance(n)

    yield count
    advance(steps - done)


@contextmanager
def taken_back_on_error(advance: Advance) -> Iterator[Advance]:
    """Count what will be done again if it fails: then none of it counts as done."""
    done = 0

    def count(n: int) -> None:
        nonlocal done
        done += n
        advance(n)

    try:
        yield count
    except BaseException:
        advance(-done)
        raise


class Progress:
    """Progress that shows nothing: the base class, and what tests use."""

    @contextmanager
    def task(self, description: str, total: int, doing: Doing | None = None) -> Iterator[Advance]:
        """Yield `advance`, to be called with the number of steps that were done, up to `total` in all.

        `doing` says what this does to which cells of a run.
        """
        yield lambda n: None

    @contextmanager
    def cells(self, rows: Sequence[Row]) -> Iterator[None]:
        """Show the cells of a run within a block."""
        yield

    def cell(self, key: str, state: State, scores: Pair = UNKNOWN) -> None:
        """Show how far a cell is now; to say it again changes nothing."""

    def say(self, text: str) -> None:
        """Print one line for the user."""


@dataclass
class PlainProgress(Progress):
    """Progress as text with `write`: a line at the end of each task and cell, and every fifteen seconds."""

    write: Callable[[str], None]
    board: Board = field(default_factory=Board)

    @contextmanager
    def task(self, description: str, total: int, doing: Doing | None = None) -> Iterator[Advance]:
        """Print the time left now and then, and the time that it took at the end."""
        start = last = monotonic()
        done = 0

        def advance(n: int) -> None:
            nonlocal done, last
            done += n
            now = monotonic()
            if now - last >= PLAIN_SECONDS and 0 < done < total:
                last = now
                eta = (now - start) / done * (total - done)
                self.write(f"{description}: {done}/{total}, about {seconds(eta)} left")

        yield advance
        self.write(f"{description}: {seconds(monotonic() - start)}")

    @contextmanager
    def cells(self, rows: Sequence[Row]) -> Iterator[None]:
        """Print a line when one of these cells is over."""
        self.board = Board(rows)
        yield

    def cell(self, key: str, state: State, scores: Pair = UNKNOWN) -> None:
        """Print a line if that is the end of a cell which gets scores."""
        moved = self.board.move(key, state, scores)
        if moved and moved.is_over and moved.row.scored:
            self.write(end_line(moved, self.board.counts()))

    def say(self, text: str) -> None:
        """Print one line."""
        self.write(text)


def progress_for(console: Any) -> Progress:
    """Return a live display if the console is a terminal that can draw over lines, plain lines if not.

    The terminals of CI services keep what is drawn over elsewhere: they set `CI`.
    """
    in_ci = os.environ.get("CI", "") not in ("", "0", "false")
    if console.is_terminal and not console.is_dumb_terminal and not in_ci:
        from flatqat.console.live import LiveProgress

        return LiveProgress(console)
    return PlainProgress(lambda text: console.print(text, soft_wrap=True))


def seconds(value: float) -> str:
    """Return a duration in words: `0.4 s`, `12 s`, `3 min 20 s`, `2 h 5 min`."""
    if value < 10:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if minutes else f"{rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
