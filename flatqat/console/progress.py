"""Progress with an ETA: a live bar on a terminal, a plain line now and then elsewhere. On stderr, always."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any

Advance = Callable[[int], None]

PLAIN_SECONDS = 15.0
ROOM_FOR_THE_REST = 40


@contextmanager
def part(advance: Advance, steps: int) -> Iterator[Advance]:
    """A part of a task that takes at most `steps`: what it leaves undone counts as done at its end."""
    done = 0

    def count(n: int) -> None:
        nonlocal done
        done += n
        advance(n)

    yield count
    advance(steps - done)


class Progress:
    """Silent; the base of the two that speak."""

    @contextmanager
    def task(self, description: str, total: int) -> Iterator[Advance]:
        """Count up to `total` steps of one piece of work: `advance(n)` after each part."""
        yield lambda n: None

    def say(self, text: str) -> None:
        """One line for the user."""


class PlainProgress(Progress):
    """A line at the end of each task, and every fifteen seconds within it."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self.write = write

    @contextmanager
    def task(self, description: str, total: int) -> Iterator[Advance]:
        start = last = monotonic()
        done = 0

        def advance(n: int) -> None:
            nonlocal done, last
            done += n
            now = monotonic()
            if now - last >= PLAIN_SECONDS and done < total:
                last = now
                eta = (now - start) / done * (total - done)
                self.write(f"{description}: {done}/{total}, about {seconds(eta)} left")

        yield advance
        self.write(f"{description}: {seconds(monotonic() - start)}")

    def say(self, text: str) -> None:
        self.write(text)


class LiveProgress(Progress):
    """Rich's progress bars."""

    def __init__(self, console: Any) -> None:
        from rich import progress
        from rich.table import Column

        self.console = console
        text = Column(no_wrap=True, overflow="ellipsis", max_width=max(20, console.width - ROOM_FOR_THE_REST))
        self.bars = progress.Progress(
            progress.TextColumn("{task.description}", table_column=text),
            progress.BarColumn(bar_width=12),
            progress.MofNCompleteColumn(),
            progress.TimeRemainingColumn(),
            progress.TextColumn("left"),
            console=console,
            transient=True,
        )

    @contextmanager
    def task(self, description: str, total: int) -> Iterator[Advance]:
        from rich.markup import escape

        start = monotonic()
        with self.bars:
            bar = self.bars.add_task(escape(description), total=total)
            yield lambda n: self.bars.advance(bar, n)
            self.bars.remove_task(bar)
        self.say(f"{description}: {seconds(monotonic() - start)}")

    def say(self, text: str) -> None:
        self.console.print(text, style="dim", markup=False, highlight=False)


def progress_for(console: Any) -> Progress:
    """Live bars if the console is a terminal, plain lines if not."""
    if console.is_terminal:
        return LiveProgress(console)
    return PlainProgress(lambda text: console.print(text, markup=False, highlight=False, soft_wrap=True))


def seconds(value: float) -> str:
    """`0.4 s`, `12 s`, `3 min 20 s`, `2 h 5 min`."""
    if value < 10:
        return f"{value:.1f} s"
    whole = round(value)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
