"""The processes that share the work of a run with the one that starts them."""

import os
import pickle
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from threading import Thread
from typing import Any

from flatqat import registry
from flatqat.bench.cell.session import Lack
from flatqat.bench.plan.jobs import Plan
from flatqat.bench.plan.request import Request
from flatqat.console.merged import Receiver
from flatqat.console.progress import Progress
from flatqat.spec import Space

WORKER = (sys.executable, "-P", "-m", "flatqat.bench.engine.worker")
GRACE = 15.0  # seconds to end by itself
OWN_GROUP: dict[str, Any] = {"process_group": 0} if os.name == "posix" else {}
"""Ctrl-C on a terminal interrupts only the process that started the others; it ends them."""


@dataclass(frozen=True, slots=True)
class Task:
    """What a worker is told: the request, the plugin files, and what each job that is to do lacks."""

    request: Request
    plugins: list[Path]
    lacking: list[tuple[str, bool, tuple[Space, ...]]]

    @classmethod
    def of(cls, request: Request, todo: Sequence[Lack]) -> "Task":
        """Return the task of a worker."""
        lacking = [(lack.job.cell.id, lack.scores, lack.spaces) for lack in todo]
        return cls(request, registry.plugin_files(), lacking)

    def lacks_of(self, plan: Plan) -> list[Lack]:
        """Return what is to do."""
        jobs = {job.cell.id: job for job in plan.jobs}
        return [Lack(job=jobs[cell_id], scores=s, spaces=spaces) for cell_id, s, spaces in self.lacking]


class Crew:
    """The worker processes of a run, within `with`. They load what they need, and wait until `at_work`."""

    def __init__(self, request: Request, todo: Sequence[Lack], progress: Progress) -> None:
        self._request, self._todo, self._progress = request, todo, progress
        self._workers: list[Worker] = []

    def __enter__(self) -> "Crew":
        """Start nothing yet."""
        return self

    def __exit__(self, *error: object) -> None:
        """End all workers."""
        for worker in self._workers:
            worker.dismiss()
        for worker in self._workers:
            worker.wait()

    def grow(self, processes: int) -> Request:
        """Let at least so many processes take part, this one included; returns the request for each of them.

        The threads that decode images are divided among them.
        """
        processes = max(processes, 1 + len(self._workers))
        own = replace(self._request, jobs=processes, workers=ceil(self._request.workers / processes))
        for number in range(len(self._workers) + 1, processes):
            self._workers.append(Worker(Task.of(own, self._todo), self._progress, number))
        return own

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Let the workers work within a block, and end them after it."""
        for worker in self._workers:
            worker.begin()
        with self:
            yield


class Worker:
    """One process, and the thread that shows what it says."""

    def __init__(self, task: Task, progress: Progress, number: int) -> None:
        path = os.pathsep.join(part or os.getcwd() for part in sys.path)
        self._process = subprocess.Popen(
            WORKER,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
            **OWN_GROUP,
        )
        self._progress, self._title = progress, f"worker {number}"
        self._begun = self._dismissed = False
        self._thread = Thread(target=self._show, daemon=True)
        self._thread.start()
        self._tell(task)

    def begin(self) -> None:
        """Let the process begin."""
        self._begun = True
        self._tell("begin")

    def dismiss(self) -> None:
        """Let the process end; one that has not begun leaves nothing behind."""
        assert self._process.stdin is not None
        self._dismissed = True
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

    def _show(self) -> None:
        """Show what the process sends until it ends, and say if it ended too early."""
        assert self._process.stdout is not None
        receiver = Receiver(self._progress)
        with suppress(EOFError, pickle.UnpicklingError), self._process.stdout:
            while True:
                receiver.show(pickle.load(self._process.stdout))
        receiver.close()
        code = self._process.wait()  # so that its claims are known to be stale
        if code and not self._dismissed:
            how = f"signal {-code}" if code < 0 else f"exit code {code}"
            self._progress.say(f"{self._title} ended with {how}; the others do its work")
