"""Progress on a terminal: a bar for each task, and above them a table of the cells of a run."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from time import monotonic
from typing import Any

from rich import progress
from rich.console import RenderableType
from rich.markup import escape
from rich.table import Column
from rich.text import Text

from flatqat.console.board import UNKNOWN, Board, Doing, Pair, Row, State
from flatqat.console.cell_table import cell_lines
from flatqat.console.progress import Advance, Progress, seconds

WIDTH_OF_BAR = 40  # of everything beside the description
REFRESHES = 4  # per second
LINES_OF_TALK = 4  # that stay in sight above the table


class LiveProgress(Progress):
    """Progress as bars of Rich and a table of cells, which both vanish at the end."""

    def __init__(self, console: Any) -> None:
        """Draw on `console`, a Rich console."""
        self.console = console
        self.board: Board | None = None
        text = Column(no_wrap=True, overflow="ellipsis", max_width=max(20, console.width - WIDTH_OF_BAR))
        self.bars = Bars(
            self,
            progress.TextColumn("{task.description}", table_column=text),
            progress.BarColumn(bar_width=12),
            progress.MofNCompleteColumn(),
            progress.TimeRemainingColumn(),
            progress.TextColumn("left"),
            console=console,
            transient=True,
            refresh_per_second=REFRESHES,
        )

    @contextmanager
    def task(self, description: str, total: int, doing: Doing | None = None) -> Iterator[Advance]:
        """Show a bar below those of other tasks, and at the end the time it took in its place."""
        start = monotonic()
        bar = self.bars.add_task(escape(description), total=total)
        self.bars.start()
        try:
            with (self.board or Board()).at_work(doing, total) as activity:

                def advance(n: int) -> None:
                    activity.done += n
                    self.bars.advance(bar, n)

                yield advance
        finally:
            self.bars.remove_task(bar)
            self._stop_if_idle()
        self.say(f"{description}: {seconds(monotonic() - start)}")

    @contextmanager
    def cells(self, rows: Sequence[Row]) -> Iterator[None]:
        """Show a table of these cells within a block."""
        self.board = Board(rows)
        self.bars.start()
        try:
            yield
        finally:
            self.board = None
            self._stop_if_idle()

    def cell(self, key: str, state: State, scores: Pair = UNKNOWN) -> None:
        """Show how far a cell is now."""
        if self.board:
            self.board.move(key, state, scores)

    def say(self, text: str) -> None:
        """Print one line above the display."""
        self.console.print(text, style="dim")

    def table(self, bars: int) -> Text:
        """Return the table as it is now, in the lines of the terminal that `bars` leave."""
        board, size = self.board, self.console.size
        lines = cell_lines(board, size.width, size.height - bars - LINES_OF_TALK) if board else []
        return Text("\n", no_wrap=True, overflow="crop").join(Text(*line) for line in lines)

    def _stop_if_idle(self) -> None:
        if not self.board and not self.bars.tasks:
            self.bars.stop()


class Bars(progress.Progress):
    """The bars below the table."""

    def __init__(self, shown: LiveProgress, *columns: progress.ProgressColumn, **options: Any) -> None:
        self._shown = shown
        super().__init__(*columns, **options)

    def get_renderables(self) -> Iterable[RenderableType]:
        """Yield the table, if there is one, and then the bars."""
        tasks = self.tasks
        if table := self._shown.table(len(tasks)):
            yield table
        if tasks:
            yield self.make_tasks_table(tasks)
