"""One pass over the images of a shift: what is read, for which models, and what counts their results."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from flatqat.bench.cell.batches import Batch
from flatqat.bench.engine.snapshots import Snapshots
from flatqat.bench.plan.jobs import Job
from flatqat.bench.records.outcomes import IDS
from flatqat.bench.records.pictures import Labels
from flatqat.data.tensors.image_data import ImageData
from flatqat.metrics.task import Meter
from flatqat.spec import ScoringLog
from flatqat.suite import Shift

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """The images of a shift in one crop, and the jobs whose models want it.

    A batch has `size` images: the `usual` number, or what memory allows. `snapshots` takes pictures of some.
    """

    jobs: list[Job]
    data: ImageData
    usual: int
    size: int
    snapshots: Snapshots


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """One pass over the images of a shift, for the jobs that lack its scores, with a meter for each.

    `streams` returns what is read and `batches` the batches of each stream, or they raise the error met while
    preparing these. `odd` names the operators of each job that have no deterministic algorithm on the device,
    `odd_in_reading` those used while reading.
    """

    shift: Shift
    jobs: list[Job]
    meters: dict[str, Meter]
    streams: Callable[[], list[Stream]]
    batches: Callable[[], list[Iterator[Batch]]]
    odd_in_reading: set[str] = field(default_factory=set)
    odd: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def pictures(self, job: Job) -> dict[int, Labels]:
        """Return what a job predicts of some images, by their place in the shift."""
        return self._stream(job).snapshots.of(job.cell.id)

    def ids(self, job: Job) -> dict[str, NDArray[np.unsignedinteger[Any]]]:
        """Return the ids of the images that a job is scored on, where its seed chooses them, as `ids`."""
        if not job.suite.split:
            return {}
        ids = self._stream(job).data.ids.numpy()
        return {IDS: ids.astype(np.min_scalar_type(ids.max()))}

    def log(self, job: Job) -> ScoringLog:
        """Return how a job was scored."""
        odd, stream = self.odd_in_reading | self.odd[job.cell.id], self._stream(job)
        batch = stream.size if stream.size < stream.usual else 0
        return ScoringLog(batch=batch, not_repeatable=tuple(sorted(odd)))

    def _stream(self, job: Job) -> Stream:
        """Return the stream that a job is in."""
        return next(stream for stream in self.streams() if job in stream.jobs)


def tried(call: Callable[[], T]) -> Callable[[], T]:
    """Call now, and return a function that returns the result or raises the error."""
    outcome: Future[T] = Future()
    try:
        outcome.set_result(call())
    except (Exception, SystemExit) as error:  # plugins may raise whatever they like
        outcome.set_exception(error)
    return outcome.result
