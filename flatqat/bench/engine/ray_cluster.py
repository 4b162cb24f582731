"""A Ray cluster, as far as a run needs it: joining one, what it offers, and one actor for each worker.

Ray is imported here alone, and only when a cluster is asked for. Its own logs stay in its own files.
"""

import os
import secrets
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from queue import SimpleQueue
from time import sleep
from typing import Any

from flatqat.bench.engine.assignment import Assignment
from flatqat.bench.engine.process import Ending, Process
from flatqat.bench.plan.request import Request
from flatqat.console.merged import Event
from flatqat.errors import UsageError, first_line
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
    """The actor on a node: it runs a worker process and passes its events on in lists, the ending last.

    The process ends by itself when the actor dies, since its input ends then.
    """

    def __init__(self, assignment: Assignment) -> None:
        self._events: SimpleQueue[Event] = SimpleQueue()
        self._process = Process(
            assignment, self._events.put, lambda ending: self._events.put(("ended", ending))
        )

    def events(self) -> Iterator[list[Event]]:
        """Yield where the process runs, then its events until it has ended."""
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
        """Tell the process to begin."""
        self._process.begin()

    def dismiss(self) -> None:
        """Tell the process to end."""
        self._process.dismiss()


@dataclass(frozen=True, slots=True)
class Cluster:
    """A Ray cluster that this process has joined, and the request that it works on."""

    ray: Any
    request: Request

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
        """How many workers have room in the cluster at once, each on one node.

        Raises UsageError if none has.
        """
        if self.device == "cuda":
            return int(self._has("GPU")) * self.request.per_device
        cpus = [int(node["Resources"].get("CPU", 0)) for node in self.ray.nodes() if node["Alive"]]
        if not (room := sum(count // self.request.threads for count in cpus)):
            got = f"nodes of at most {max(cpus, default=0)}"
            raise UsageError(
                f"--ray: expected a node with {self.request.threads} CPUs, as --threads asks, got {got}"
            )
        return room

    def _has(self, resource: str) -> float:
        return float(self.ray.cluster_resources().get(resource, 0))

    def actor(self, assignment: Assignment) -> Any:
        """Start an actor on a node with room for its worker, as soon as there is one."""
        gpu = assignment.request.device == "cuda"
        room = {"num_gpus": 1 / self.request.per_device} if gpu else {"num_cpus": assignment.request.threads}
        made = self.ray.remote(RemoteProcess).options(
            **{"num_cpus": 0, **room}, max_concurrency=3, scheduling_strategy="SPREAD"
        )
        return made.remote(assignment)

    def events(self, actor: Any) -> Iterator[Event]:
        """Yield the events of an actor, its ending last."""
        try:
            for batch in actor.events.options(num_returns="streaming").remote():
                yield from self.ray.get(batch)
        except Exception as error:  # the death of the actor; anything, if the cluster is being left
            yield ("ended", _ending_of(error))

    def kill(self, actor: Any) -> None:
        """End an actor at once."""
        self.ray.kill(actor)


@contextmanager
def joined(request: Request) -> Iterator[Cluster]:
    """Join the cluster of a request, or start one here, for a block. Raises UsageError if there is none."""
    local = request.ray == "local"
    own = local and "RAY_AUTH_MODE" not in os.environ
    with _environment(QUIET | (_own_token() if own else {})):
        ray = require("ray", extra="ray")
        if ray.is_initialized():  # by the notebook or the script that runs the request
            yield Cluster(ray, request)
            return
        if ":" in (address := request.ray or ""):
            _check_port(address)
        options = {"object_store_memory": OBJECT_STORE, "include_dashboard": False} if local else {}
        try:
            try:
                ray.init(address, log_to_driver=False, logging_level="ERROR", **options)
            except Exception as error:  # ConnectionError, RuntimeError, ValueError and others
                got = first_line(error)
                raise UsageError(f"--ray {address}: expected a Ray cluster, got: {got}; {START}") from error
            yield Cluster(ray, request)
        finally:
            ray.shutdown()


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set those variables that are not set yet, within a block."""
    new = {name: value for name, value in variables.items() if name not in os.environ}
    os.environ.update(new)
    try:
        yield
    finally:
        for name in new:
            os.environ.pop(name, None)


def _own_token() -> dict[str, str]:
    """Return a token for a cluster of this run alone; otherwise Ray writes one into the user's home."""
    return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}


def _ending_of(error: Exception) -> Ending:
    """Return how a worker ended whose actor raised an error: it died, or could not even start."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    cannot_start = f"expected the same flatqat and Ray on every node, got: {lines[-1]}"
    return Ending(1, f"its actor ({lines[0]})", cannot_start if "creation task" in lines[0] else "")


def _check_port(address: str) -> None:
    """Raise UsageError if nobody listens at HOST:PORT, which Ray takes a minute to say."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), PATIENCE).close()
    except (OSError, OverflowError) as error:
        got = getattr(error, "strerror", None) or error
        raise UsageError(f"--ray {address}: expected a Ray cluster there, got: {got}; {START}") from error
