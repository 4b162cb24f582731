"""The workers that share a run with the process that starts them."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import ceil
from typing import Protocol

from flatqat.bench.cell.session import Lack, Session
from flatqat.bench.engine.assignment import Assignment
from flatqat.bench.engine.auto_jobs import auto_jobs
from flatqat.bench.engine.process import Ending, Process
from flatqat.bench.plan.request import Request
from flatqat.console.merged import Receiver
from flatqat.console.progress import Progress


class Worker(Protocol):
    """A process that works on an assignment, here or on another machine, once it is told to begin."""

    def begin(self) -> None:
        """Tell it to begin."""

    def dismiss(self) -> None:
        """Tell it to end; one that has not begun leaves nothing behind."""

    def wait(self) -> None:
        """Wait until it has ended, up to a limit of time."""


class Crew:
    """The workers of a run, within `with`. They load what they need, and wait for `work`."""

    beside = 1
    """1 if the process that starts the workers works too, else 0."""

    def __init__(self, session: Session, todo: Sequence[Lack]) -> None:
        self.session, self.todo = session, todo
        self.workers: list[Worker] = []

    def __enter__(self) -> "Crew":
        """Start nothing yet."""
        return self

    def __exit__(self, *error: object) -> None:
        """End all workers."""
        self.end()

    def end(self) -> None:
        """End all workers that have been started."""
        workers, self.workers = self.workers, []
        for worker in workers:
            worker.dismiss()
        for worker in workers:
            worker.wait()

    def grow(self, work: float) -> Request:
        """Start workers until as many processes take part as `work` (forward passes of one image) is worth.

        Returns the request for the calling process. Each process gets a part of the decoding threads.
        """
        asked = self.session.request
        count = asked.jobs or self.worth(work)
        devices = asked.devices or (asked.device,) * max(count, self.beside + len(self.workers))
        own = [
            replace(
                asked,
                device=device,
                devices=(),
                ray=None,
                jobs=devices.count(device),  # that share the memory of the device
                workers=ceil(asked.workers / len(devices)),
            )
            for device in devices
        ]
        for request in own[self.beside + len(self.workers) :]:
            self.workers.append(self.start(Assignment.of(request, self.todo), len(self.workers) + 1))
        return own[0]

    def worth(self, work: float) -> int:
        """Return how many processes should take part if the user does not say."""
        return auto_jobs(work, self.session)

    def start(self, assignment: Assignment, number: int) -> Worker:
        """Start a worker."""
        return LocalWorker(assignment, self.session.progress, f"worker {number}")

    def work(self, own_part: Callable[[], None]) -> None:
        """Let the workers work while this process does its own part, and end them after it."""
        for worker in self.workers:
            worker.begin()
        try:
            own_part()
        finally:
            self.end()


class LocalWorker:
    """A worker process on this machine; the user is told if it ends too early."""

    def __init__(self, assignment: Assignment, progress: Progress, title: str) -> None:
        self._progress, self._title, self._dismissed = progress, title, False
        self._receiver = Receiver(progress)
        self._process = Process(assignment, self._receiver.show, self._ended)
        self.begin, self.wait = self._process.begin, self._process.wait

    def dismiss(self) -> None:
        """Let it end."""
        self._dismissed = True
        self._process.dismiss()

    def _ended(self, ending: Ending) -> None:
        self._receiver.close()
        if ending.error:
            self._progress.say(f"a worker ended: {ending.error}")  # this process will meet the same
        elif ending.code and not self._dismissed:
            self._progress.say(f"{self._title} ended with {ending.how}; the others do its work")
