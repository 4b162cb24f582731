"""Progress with an ETA, on stderr: live bars on a terminal, an occasional plain line elsewhere."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Any

Advance = Callable[[int], None]

PLAIN_SECONDS = 15.0
WIDTH_OF_BAR = 40  # of everything beside the description


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
    def task(self, description: str, total: int) -> Iterator[Advance]:
        """Yield `advance`, to be called with the number of steps that were done, up to `total` in all."""
        yield lambda n: None

    def say(self, text: str) -> None:
        """Print one line for the user."""


@dataclass
class PlainProgress(Progress):
    """Progress as text with `write`: a line at the end of each task, and every fifteen seconds within it."""

    write: Callable[[str], None]

    @contextmanager
    def task(self, description: str, total: int) -> Iterator[Advance]:
        """Print the time left now and then, and the time that it took at the end."""
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
        """Print one line."""
        self.write(text)


class LiveProgress(Progress):
    """Progress as bars of Rich on a terminal."""

    def __init__(self, console: Any) -> None:
        """Draw on `console`, a Rich console."""
        from rich import progress
        from rich.table import Column

        self.console = console
        text = Column(no_wrap=True, overflow="ellipsis", max_width=max(20, console.width - WIDTH_OF_BAR))
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
        """Show a bar, beside those of other tasks, and in its place the time that it took at the end."""
        from rich.markup import escape

        start = monotonic()
        bar = self.bars.add_task(escape(description), total=total)
        self.bars.start()
        try:
            yield lambda n: self.bars.advance(bar, n)
        finally:
            self.bars.remove_task(bar)
            if not self.bars.tasks:
                self.bars.stop()
        self.say(f"{description}: {seconds(monotonic() - start)}")

    def say(self, text: str) -> None:
        """Print one line above the bars."""
        self.console.print(text, style="dim", markup=False, highlight=False)


def progress_for(console: Any) -> Progress:
    """Return live bars if the console is a terminal, plain lines if not."""
    if console.is_terminal:
        return LiveProgress(console)
    return PlainProgress(lambda text: console.print(text, markup=False, highlight=False, soft_wrap=True))


def seconds(value: float) -> str:
    """Return a duration in words: `0.4 s`, `12 s`, `3 min 20 s`, `2 h 5 min`."""
    if value < 10:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if minutes else f"{rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
