"""A worker process on this machine, as the process that has started it sees it."""

import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from threading import Thread
from typing import Any

from flatqat.bench.engine.assignment import Assignment
from flatqat.console.merged import Event

WORKER = (sys.executable, "-P", "-m", "flatqat.bench.engine.worker")
GRACE = 15.0  # seconds to end by itself
OWN_GROUP: dict[str, Any] = {"process_group": 0} if os.name == "posix" else {}
"""Ctrl-C on a terminal interrupts only the process that started the others; it ends them."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a worker has ended: its exit code, what that means, and the error that stopped it, if any did."""

    code: int
    how: str
    error: str = ""

    @classmethod
    def of(cls, code: int, error: str = "") -> "Ending":
        """Return the ending of a process; a negative code is that of a signal."""
        return cls(code, f"signal {-code}" if code < 0 else f"exit code {code}", error)


class Process:
    """A process that works on an assignment, and the thread that reads what it sends until it ends."""

    def __init__(
        self, assignment: Assignment, show: Callable[[Event], None], ended: Callable[[Ending], None]
    ) -> None:
        """Start it; `show` gets the events of its progress and `ended` how it ends, both in the thread."""
        path = os.pathsep.join(part or os.getcwd() for part in sys.path)
        self._process = subprocess.Popen(
            WORKER,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
            **OWN_GROUP,
        )
        self._begun = False
        self._thread = Thread(target=self._read, args=(show, ended), daemon=True)
        self._thread.start()
        self._tell(assignment)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def begin(self) -> None:
        """Tell the process to begin."""
        self._begun = True
        self._tell("begin")

    def dismiss(self) -> None:
        """Tell the process to end; one that has not begun leaves nothing behind."""
        assert self._process.stdin is not None
        if not self._begun:
            self._process.kill()
        with suppress(OSError):
            self._process.stdin.close()

    def wait(self) -> None:
        """Wait until the process has ended, and kill it if it does not."""
        try:
            self._process.wait(GRACE)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._thread.join(GRACE)  # what it has started may hold its output open

    def _tell(self, what: object) -> None:
        """Send something, unless the process has ended."""
        assert self._process.stdin is not None
        with suppress(OSError):
            pickle.dump(what, self._process.stdin)
            self._process.stdin.flush()

    def _read(self, show: Callable[[Event], None], ended: Callable[[Ending], None]) -> None:
        assert self._process.stdout is not None
        error = ""
        try:
            with suppress(EOFError, pickle.UnpicklingError), self._process.stdout:
                while True:
                    match pickle.load(self._process.stdout):
                        case ("error", text):
                            error = text
                        case event:
                            show(event)
        finally:  # also where an event cannot be shown: a run must not wait for a process that has ended
            ended(Ending.of(self._process.wait(), error))  # its claims are known to be stale now
