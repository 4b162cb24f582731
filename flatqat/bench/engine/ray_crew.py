"""The workers of a run on a Ray cluster. The process that starts them shows progress and computes nothing."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from math import ceil
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any

from flatqat.bench.cell.session import Lack, Session
from flatqat.bench.engine.assignment import Assignment
from flatqat.bench.engine.auto_jobs import jobs_worth
from flatqat.bench.engine.crew import Crew, Worker
from flatqat.bench.engine.process import GRACE, Ending
from flatqat.bench.engine.ray_cluster import Cluster, joined
from flatqat.console.merged import Receiver
from flatqat.console.progress import Progress
from flatqat.errors import FlatqatError

LIVES = 4  # of a worker: what kills as many processes would kill the next one, too


class RayCrew(Crew):
    """Workers on a cluster that is joined for as long as the run takes."""

    beside = 0

    def __init__(self, session: Session, todo: Sequence[Lack]) -> None:
        super().__init__(session, todo)
        self._stack = ExitStack()
        self._endings: SimpleQueue[tuple[str, Ending]] = SimpleQueue()

    def __enter__(self) -> "Crew":
        """Join the cluster, and choose the device of all workers."""
        with ExitStack() as stack:
            self._cluster = stack.enter_context(joined(self.session.request))
            request = replace(self.session.request, device=self._cluster.device)
            self._stack = stack.pop_all()
        self.session = replace(self.session, request=request)
        return self

    def end(self) -> None:
        """End all workers, and leave the cluster."""
        with self._stack:
            super().end()

    def worth(self, work: float) -> int:
        """Return as many as the work is worth and the cluster has room for."""
        offers = self._cluster.offers
        return jobs_worth(work, offers, offers)

    def start(self, assignment: Assignment, number: int) -> Worker:
        """Start a worker on the cluster; `per_device` workers share a GPU and its decoding threads."""
        asked = self.session.request
        if asked.device == "cuda":
            decoding = ceil(asked.workers / asked.per_device)
            assignment = replace(
                assignment, request=replace(assignment.request, jobs=asked.per_device, workers=decoding)
            )
        return RayWorker(
            self._cluster, assignment, self.session.progress, f"worker {number}", self._endings.put
        )

    def work(self, own_part: Callable[[], None]) -> None:
        """Let the workers work until one finds that all is done.

        Raises FlatqatError if a worker meets an error that ends the run, or if no worker is left.
        """
        super().work(self._wait)

    def _wait(self) -> None:
        for _ in self.workers:
            title, ending = self._endings.get()
            if not ending.code:
                return
            if ending.error:
                raise FlatqatError(f"{title}: {ending.error}")
        raise FlatqatError(
            f"Ray: expected workers, got none that lives; the last one ended with {ending.how}"
        )


class RayWorker:
    """A worker on a cluster: an actor, replaced when it dies. A thread shows its progress."""

    def __init__(
        self,
        cluster: Cluster,
        assignment: Assignment,
        progress: Progress,
        title: str,
        ended: Callable[[tuple[str, Ending]], None],
    ) -> None:
        self._cluster, self._assignment, self._progress, self._title = cluster, assignment, progress, title
        self._begun = self._dismissed = self._ready = False
        self._changing = Lock()
        self._actor: Any = cluster.actor(assignment)
        self._thread = Thread(target=self._live, args=(ended,), daemon=True)
        self._thread.start()

    def begin(self) -> None:
        """Tell it to begin."""
        self._begun = True
        self._actor.begin.remote()

    def dismiss(self) -> None:
        """Tell it to end."""
        with self._changing:
            self._dismissed = True
            self._actor.dismiss.remote()

    def wait(self) -> None:
        """Wait until its process has ended, unless it still waits for room; then end its actor."""
        if self._ready:
            self._thread.join(GRACE)
        with suppress(Exception):  # it is gone already
            self._cluster.kill(self._actor)

    def _live(self, ended: Callable[[tuple[str, Ending]], None]) -> None:
        for life in range(1, 1 + LIVES):
            ending = self._show()
            if not ending.code or ending.error or self._dismissed or life == LIVES:
                break
            if not self._replaced(ending):
                break
        ended((self._title, ending))

    def _replaced(self, ending: Ending) -> bool:
        """Start another actor in the place of one that has died, unless none is wanted any more."""
        with self._changing:
            if not self._dismissed:
                self._progress.say(f"{self._title} ended with {ending.how}; another takes its place")
                self._ready, self._actor = False, self._cluster.actor(self._assignment)
                if self._begun:
                    self._actor.begin.remote()
            return not self._dismissed

    def _show(self) -> Ending:
        """Show what the actor sends until its process has ended; returns how that was."""
        name, receiver = self._title.partition(" on ")[0], Receiver(self._progress)
        ending = Ending.of(1)
        for event in self._cluster.events(self._actor):
            match event:
                case ("at", host, pid):
                    self._title, self._ready = f"{name} on {host} (process {pid})", True
                case ("ended", how):
                    ending = how
                case _:
                    receiver.show(event)
        receiver.close()
        return ending
