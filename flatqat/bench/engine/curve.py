"""The curve of one training, on its way to a sink.

A curve changes no number and no outcome of a cell: steps are read where the trainer waits for the device
anyway, and if a sink fails only the rest of the curve is lost.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

import torch
from torch import Tensor

from flatqat.bench.cell.session import Session
from flatqat.bench.plan.jobs import Job
from flatqat.bench.sinks.named import sink_named
from flatqat.bench.sinks.sink import Sink, Training
from flatqat.models.optional import quietly

LOGS = "logs"  # in the results folder


class Curve:
    """Collects the values that steps return; without a sink it keeps none."""

    def __init__(self, job: Job, session: Session, name: str | None) -> None:
        """Open the sink of this name."""
        self._session, self._name = session, name
        self._sink: Sink | None = None
        self._steps: list[tuple[int, dict[str, Tensor]]] = []
        if name:
            cell, folder = job.cell, session.store.root / LOGS
            training = Training(suite=cell.suite, label=cell.label, settings=cell.to_dict(), folder=folder)
            with self._lost_alone(), quietly():
                self._sink = sink_named(name)(training)

    def add(self, step: int, logs: Mapping[str, Tensor]) -> None:
        """Take the values that a step returned, without waiting for the device."""
        if self._sink:
            with self._lost_alone():
                kept = {name: torch.as_tensor(value).detach().clone() for name, value in logs.items()}
                self._steps.append((step, kept))

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Write the steps so far, then values that belong to the last one of them."""
        self.write()
        if self._sink:
            with self._lost_alone():
                self._sink.scalars([(step, values)])

    def write(self) -> None:
        """Write the steps so far."""
        steps, self._steps = self._steps, []
        if self._sink and steps:
            with self._lost_alone():
                rows = [(step, {name: float(value) for name, value in of.items()}) for step, of in steps]
                self._sink.scalars(rows)

    def close(self) -> None:
        """Write the rest."""
        self.write()
        sink, self._sink = self._sink, None
        if sink:
            with self._lost_alone():
                sink.close()

    @contextmanager
    def _lost_alone(self) -> Iterator[None]:
        """Drop a sink that fails, and say so once, however many cells it fails for."""
        try:
            yield
        except (Exception, SystemExit) as error:  # of packages that may raise whatever they like
            failed, self._sink = self._sink, None
            if failed:
                with suppress(Exception, SystemExit):  # as much of it as still works
                    failed.close()
            why = getattr(error, "strerror", None) or str(error).partition("\n")[0]
            lost = f"--log {self._name}: curves are lost ({type(error).__name__}: {why})"
            self._session.progress.say(f"{lost}; results are not affected")


@contextmanager
def curve_of(job: Job, session: Session, *, shown: bool = True) -> Iterator[Curve]:
    """Yield the curve of a training, closed at the end; it goes to the request's sink if `shown`."""
    curve = Curve(job, session, session.request.log if shown else None)
    try:
        yield curve
    finally:
        curve.close()
