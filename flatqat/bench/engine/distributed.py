"""A run whose cells are each trained by several processes together, which then share what is left.

Trainings come first: the process that leads takes one after the other, tells the others which it is, and all
train it. Scores, flatness and records need no more than one process each, so that from then on each takes
pieces of the work as in any run.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from math import ceil

from flatqat import registry
from flatqat.bench.cell.batches import batch_length
from flatqat.bench.cell.session import Lack, Session
from flatqat.bench.engine.assignment import Assignment
from flatqat.bench.engine.pieces import Share, Training, pieces_of
from flatqat.bench.engine.sharing import take_part, work_off
from flatqat.bench.engine.train import train
from flatqat.bench.engine.troubles import Troubles
from flatqat.bench.plan.jobs import Job, make_plan
from flatqat.bench.plan.request import Request
from flatqat.bench.ranks.place import Place
from flatqat.bench.ranks.ranks import Dismissed, Ranks
from flatqat.console.progress import Progress
from flatqat.errors import UsageError, Vanished


class SilentProgress(Progress):
    """Progress that shows nothing, and keeps what is said for another process to say."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        """Keep a line."""
        self.lines.append(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class RanksShare(Share):
    """The share of the process that leads, while all train together."""

    ranks: Ranks

    def train(self, job: Job) -> None:
        """Train a job together with all others."""
        self.ranks.tell(job.cell.id)
        with self.ranks.alike():
            train(job, self.session, self.ranks)


def request_of(request: Request, place: Place) -> Request:
    """Return the request of one process. Raises UsageError for what excludes training together."""
    if request.compile:
        raise UsageError(
            "--distributed: expected no --compile, which cannot see sums over processes, got both"
        )
    others = {"--devices": request.devices, "--ray": request.ray, "--jobs": (request.jobs or 1) > 1}
    if given := [name for name, value in others.items() if value]:
        raise UsageError(f"--distributed: torchrun starts all processes: expected no {given[0]}, got both")
    workers = ceil(request.workers / place.local_size)
    device = place.device(request.device)
    beside = place.local_size if device == "cpu" else 1  # processes that share the memory
    return replace(request, device=device, workers=workers, jobs=beside)


def check_batches(todo: Sequence[Lack], session: Session, ranks: Ranks) -> None:
    """Raise UsageError if a batch has fewer images than there are processes."""
    for job in (lack.job for lack in todo if not lack.job.skip):
        steps = job.method.steps(job.recipe)
        length = batch_length(job.suite.train(session.request.data_root), job.recipe.batch_size)
        if steps and length < ranks.size:
            raise UsageError(
                f"{job.title}: expected an image of each batch for each of {ranks.size} processes, got "
                f"batches of {length}; start fewer processes"
            )


@contextmanager
def leading(
    ranks: Ranks | None, todo: Sequence[Lack], session: Session
) -> Iterator[Callable[[Sequence[Lack], Share], None] | None]:
    """Yield what the leading process does first; the others take part within the block."""
    if not ranks:
        yield None
        return
    ranks.tell(Assignment.of(session.request, todo))
    ranks.open(session.device)
    yield partial(_lead, ranks)
    for line in ranks.reports():
        session.progress.say(line)


def follow(ranks: Ranks) -> None:
    """Take part in a run that another process leads, until it ends."""
    warnings.simplefilter("ignore")  # the process that leads shows the same
    try:
        assignment: Assignment = ranks.told()
        for file in assignment.plugins:
            registry.add_plugin(file)
        plan, said = make_plan(assignment.request), SilentProgress()
        device = assignment.request.device.partition(":")[0]
        session = Session.open(replace(assignment.request, device=ranks.place.device(device)), Progress())
        todo = assignment.lacks_of(plan)
        ranks.open(session.device)
        with session.store.claims() as claims:
            first = partial(_follow, {job.cell.id: job for job in plan.jobs}, ranks, said)
            take_part(todo, plan, session, Troubles(said), claims, first)
        ranks.report(said.lines)
    except Dismissed:
        pass


def _lead(ranks: Ranks, todo: Sequence[Lack], share: Share) -> None:
    """Train the jobs that take steps, and those that they start from."""
    together = RanksShare(session=share.session, troubles=share.troubles, claims=share.claims, ranks=ranks)
    pieces = pieces_of(todo, together)
    trainings = [piece for piece in pieces if isinstance(piece, Training)]
    wanted = {cell_id for piece in trainings if piece.work for cell_id in _ids(piece.job)}
    first = [piece for piece in trainings if piece.job.cell.id in wanted]
    work_off(first, together, sum(piece.work for piece in pieces if piece not in first))
    ranks.tell(None)


def _follow(
    jobs: dict[str, Job], ranks: Ranks, said: SilentProgress, _: Sequence[Lack], share: Share
) -> None:
    """Train the jobs that the leading process names; that process reports what goes wrong.

    If another run removes the weights that all start from, the leading process makes its list again.
    """
    while (cell_id := ranks.told()) is not None:
        with suppress(Vanished), share.troubles.catch(jobs[cell_id]), ranks.alike():
            train(jobs[cell_id], share.session, ranks)
    said.lines.clear()


def _ids(job: Job | None) -> list[str]:
    """Return the ids of a job and of all that it starts from."""
    return [job.cell.id, *_ids(job.parent)] if job else []
