"""The progress of several processes as one.

What they do together has one bar, and what they all say is said once.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import count
from threading import RLock
from typing import Any

from flatqat.console.board import UNKNOWN, Doing, Pair, Row, State
from flatqat.console.progress import Advance, Progress

Event = tuple[Any, ...]
"""("say", text), ("begin", number, description, total, doing), ("advance", number, n),
("end", number, failed) or ("cell", key, state, scores)."""


class Merged(Progress):
    """Progress that several threads may use, each for a process."""

    def __init__(self, shown: Progress) -> None:
        self._shown, self._lock = shown, RLock()
        self._tasks: dict[tuple[str, Doing | None], _Task] = {}
        self._said: set[str] = set()

    @contextmanager
    def task(self, description: str, total: int, doing: Doing | None = None) -> Iterator[Advance]:
        """Count steps of the task with this description, which ends when its last user ends."""
        name = description, doing
        with self._lock:
            if name not in self._tasks:
                self._tasks[name] = _Task(self._shown, description, total, doing)
            task = self._tasks[name]
            task.users += 1
        try:
            yield lambda n: self._advance(task, n)
        finally:
            with self._lock:
                task.users -= 1
                if not task.users:
                    del self._tasks[name]
                    task.stack.__exit__(*sys.exc_info())

    @contextmanager
    def cells(self, rows: Sequence[Row]) -> Iterator[None]:
        """Show the cells that all processes work on."""
        with self._shown.cells(rows):
            yield

    def cell(self, key: str, state: State, scores: Pair = UNKNOWN) -> None:
        """Show how far a cell is now, whichever process reports it."""
        with self._lock:
            self._shown.cell(key, state, scores)

    def say(self, text: str) -> None:
        """Print a line unless it was printed before, even with another time left."""
        with self._lock:
            line = text.partition(", about ")[0]
            if line not in self._said:
                self._said.add(line)
                self._shown.say(text)

    def _advance(self, task: "_Task", n: int) -> None:
        with self._lock:
            task.advance(n)


class _Task:
    """A task that is shown, and how many use it."""

    def __init__(self, shown: Progress, description: str, total: int, doing: Doing | None) -> None:
        self.users, self.stack = 0, ExitStack()
        self.advance = self.stack.enter_context(shown.task(description, total, doing))


class Sent(Progress):
    """Progress as events with `send`, for a `Receiver` in another process."""

    def __init__(self, send: Callable[[Event], None]) -> None:
        self._send, self._numbers = send, count()

    @contextmanager
    def task(self, description: str, total: int, doing: Doing | None = None) -> Iterator[Advance]:
        """Send how a task goes."""
        number, failed = next(self._numbers), True
        self._send(("begin", number, description, total, doing))
        try:
            yield lambda n: self._send(("advance", number, n))
            failed = False
        finally:
            self._send(("end", number, failed))

    def cell(self, key: str, state: State, scores: Pair = UNKNOWN) -> None:
        """Send how far a cell is."""
        self._send(("cell", key, state, scores))

    def say(self, text: str) -> None:
        """Send a line."""
        self._send(("say", text))


class Receiver:
    """Shows the events of one process; tasks that have not ended when it does have failed."""

    def __init__(self, shown: Progress) -> None:
        self._shown = shown
        self._tasks: dict[int, tuple[ExitStack, Advance]] = {}

    def show(self, event: Event) -> None:
        """Show one event."""
        match event:
            case ("say", text):
                self._shown.say(text)
            case ("cell", key, state, scores):
                self._shown.cell(key, state, scores)
            case ("begin", number, description, total, doing):
                stack = ExitStack()
                self._tasks[number] = stack, stack.enter_context(self._shown.task(description, total, doing))
            case ("advance", number, n):
                self._tasks[number][1](n)
            case ("end", number, failed):
                self._end(number, failed)

    def close(self) -> None:
        """End the tasks of a process that has ended."""
        for number in list(self._tasks):
            self._end(number, failed=True)

    def _end(self, number: int, failed: bool) -> None:
        stack, _ = self._tasks.pop(number)
        error = ChildProcessError() if failed else None
        stack.__exit__(type(error) if error else None, error, None)
