"""A Ray cluster, as far as a run needs it: joining one, what it offers, and one actor for each worker.

Ray is imported here alone, and only when a cluster is asked for. Its own logs stay in its own files.
"""

import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from queue import SimpleQueue
from time import sleep
from typing import Any

from flatqat.bench.engine.process import Ending, Process
from flatqat.bench.engine.task import Task
from flatqat.bench.plan.request import Request
from flatqat.console.merged import Event
from flatqat.errors import UsageError
from flatqat.models.optional import require

QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing is sent to anybody
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # or it warns of its next release
}
OBJECT_STORE = 2**27  # bytes; what passes through it is progress
PAUSE = 0.1  # seconds in which events are gathered
PATIENCE = 5.0  # seconds until a port answers
START = "start one with: ray start --head, or leave it to --ray local"


class RemoteProcess:
    """What runs on a node: a worker process, whose progress leaves it in lists of events, its ending last.

    The process ends by itself when the actor dies, since its input ends then.
    """

    def __init__(self, task: Task) -> None:
        self._events: SimpleQueue[Event] = SimpleQueue()
        self._process = Process(task, self._events.put, lambda ending: self._events.put(("ended", ending)))

    def events(self) -> Iterator[list[Event]]:
        """Yield what happens until the process has ended, and where it is at first."""
        from ray.util import get_node_ip_address

        batch: list[Event] = [("at", get_node_ip_address(), self._process.pid)]
        while True:
            yield batch
            if batch[-1][0] == "ended":
                break
            batch = [self._events.get()]
            sleep(PAUSE)
            while not self._events.empty():
                batch.append(self._events.get())

    def begin(self) -> None:
        """Let the process begin."""
        self._process.begin()

    def dismiss(self) -> None:
        """Let the process end."""
        self._process.dismiss()


@dataclass(frozen=True, slots=True)
class Cluster:
    """A Ray cluster that this process has joined."""

    ray: Any
    request: Request
    joined: bool
    """Whether it was joined for this run."""

    @classmethod
    def of(cls, request: Request) -> "Cluster":
        """Join the cluster of a request, or start one here. Raises UsageError if there is none."""
        assert request.ray
        for name, value in QUIET.items():
            os.environ.setdefault(name, value)
        ray = require("ray", extra="ray")
        if ray.is_initialized():  # by the notebook or the script that runs a request
            return cls(ray, request, joined=False)
        if ":" in request.ray:
            _check_port(request.ray)
        local = {"object_store_memory": OBJECT_STORE, "include_dashboard": False}
        try:
            ray.init(
                request.ray,
                log_to_driver=False,
                logging_level="ERROR",
                **(local if request.ray == "local" else {}),
            )
        except Exception as error:  # ConnectionError, RuntimeError, ValueError and others, by what is wrong
            got = _first_line(error)
            raise UsageError(f"--ray {request.ray}: expected a Ray cluster, got: {got}; {START}") from error
        return cls(ray, request, joined=True)

    def leave(self) -> None:
        """Leave the cluster; one that was started here ends."""
        if self.joined:
            self.ray.shutdown()

    @property
    def device(self) -> str:
        """The device of each worker. Raises UsageError if the request wants a GPU that the cluster lacks."""
        gpus = self._has("GPU") > 0
        if self.request.device == "cuda" and not gpus:
            raise UsageError(
                "--device cuda: expected a Ray cluster with GPUs, got one without; use --device cpu"
            )
        return "cpu" if self.request.device == "cpu" or not gpus else "cuda"

    @property
    def offers(self) -> int:
        """How many workers have room in the cluster at once."""
        if self.device == "cuda":
            return int(self._has("GPU")) * self.request.per_device
        return int(self._has("CPU")) // self.request.threads

    def _has(self, resource: str) -> float:
        return float(self.ray.cluster_resources().get(resource, 0))

    def actor(self, task: Task) -> Any:
        """Start an actor where there is room for its worker, be it later."""
        gpu = task.request.device == "cuda"
        room = {"num_gpus": 1 / self.request.per_device} if gpu else {"num_cpus": task.request.threads}
        made = self.ray.remote(RemoteProcess).options(
            **{"num_cpus": 0, **room}, max_concurrency=3, scheduling_strategy="SPREAD"
        )
        return made.remote(task)

    def events(self, actor: Any) -> Iterator[Event]:
        """Yield the events of an actor, its ending last."""
        try:
            for batch in actor.events.options(num_returns="streaming").remote():
                yield from self.ray.get(batch)
        except self.ray.exceptions.RayError as error:
            yield ("ended", Ending(code=1, how=f"its actor ({_first_line(error)})"))

    def kill(self, actor: Any) -> None:
        """End an actor at once."""
        self.ray.kill(actor)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__


def _check_port(address: str) -> None:
    """Raise UsageError if nobody listens at HOST:PORT, which Ray takes a minute to say."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), PATIENCE).close()
    except (OSError, OverflowError) as error:
        got = getattr(error, "strerror", None) or error
        raise UsageError(f"--ray {address}: expected a Ray cluster there, got: {got}; {START}") from error
