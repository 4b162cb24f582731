"""One process's part of a run: it does the first piece that is ready and free, until all are done."""

from collections.abc import Callable, Sequence
from itertools import product
from time import sleep

from flatqat.bench.cell.session import Lack, Session
from flatqat.bench.engine.countdown import Countdown
from flatqat.bench.engine.pieces import Measuring, Piece, Share, pieces_of
from flatqat.bench.engine.recording import Recording
from flatqat.bench.engine.troubles import Troubles, note_of
from flatqat.bench.plan.jobs import Plan
from flatqat.bench.plan.request import lacking_spaces
from flatqat.bench.records.claims import Claims
from flatqat.errors import Vanished

ATTEMPTS = 100  # to go on after another run has removed files
SHORTEST_PAUSE, LONGEST_PAUSE = 0.02, 1.0  # seconds between two checks of what others do


def take_part(
    todo: Sequence[Lack],
    plan: Plan,
    session: Session,
    troubles: Troubles,
    claims: Claims,
    first: Callable[[Sequence[Lack], Share], None] | None = None,
) -> None:
    """Work on a plan until nothing is left to do, together with other processes in the same folder.

    `first` does what this process cannot do alone. If another run removes a file that this one is about to
    read, or records a cell without its flatness, the list of what is to do is made again.
    """
    store, rerun, left = session.store, session.request.rerun, todo
    if rerun:
        _forget(todo, session, claims)
    troubles.share(claims)
    share = Share(session=session, troubles=troubles, claims=claims)
    for attempt in range(ATTEMPTS):
        try:
            if first:
                first(left, share)
                first = None
            recordings = [Recording(lack, share) for lack in left if lack.scores or lack.spaces]
            work_off([*recordings, *pieces_of(left, share)], share)
            if not (left := _unmeasured(todo, session, troubles)):
                break
            for lack, piece in product(left, (Recording, Measuring)):
                claims.withdraw(piece.name_of(lack.job))
        except Vanished:
            if attempt == ATTEMPTS - 1:
                raise
            for lack in todo:
                claims.withdraw(Measuring.name_of(lack.job))
            left = todo if rerun else session.lacking(plan)
            for job in (lack.job for lack in left):
                if not store.has_weights(job.cell):  # it may be recorded, but others start from it
                    claims.withdraw(Recording.name_of(job))
    for lack in todo:
        if claims.noted(lack.job.cell.id):  # scores that others were still writing when it failed
            store.drop_work(lack.job.cell)


def _unmeasured(todo: Sequence[Lack], session: Session, troubles: Troubles) -> list[Lack]:
    """Return the jobs whose records lack flatness although all is done and no measurement has failed."""
    lacks = []
    for lack in (lack for lack in todo if lack.spaces and not troubles.get(lack.job)):
        record = session.store.record(lack.job.cell)
        if record:
            lacking = lacking_spaces(lack.job.cell, record.flatness, session.request)
            spaces = tuple(space for space in lacking if not record.flatness.failure(space))
            lacks += [Lack(job=lack.job, spaces=spaces)] if spaces else []
    return lacks


def work_off(pieces: Sequence[Piece], share: Share, later: float = 0.0) -> None:
    """Do the first piece that is ready and unclaimed, again and again until all are done.

    `later` is the work that comes after all of them.
    """
    pending, pause = list(pieces), SHORTEST_PAUSE
    countdown = Countdown(share.session.progress)
    while pending := [piece for piece in pending if not _ended(piece)]:
        share.troubles.look()
        countdown.ahead = later + sum(piece.work for piece in pending)
        if any(piece.is_ready() and piece.do(countdown) for piece in pending):
            pause = SHORTEST_PAUSE
        else:
            sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)


def _ended(piece: Piece) -> bool:
    """Whether a piece is done; if so, the progress display shows it."""
    if done := piece.is_done():
        piece.tell()
    return done


def _forget(todo: Sequence[Lack], session: Session, claims: Claims) -> None:
    """Remove stored results and notes of the work, once for all processes of a rerun."""
    with claims.lock("rerun"):
        for lack in todo:
            if not claims.noted(name := f"rerun-{lack.job.cell.id}"):
                for of_another in (Recording.name_of, Measuring.name_of, note_of):
                    claims.withdraw(of_another(lack.job))
                session.store.forget_work(lack.job.cell)
                claims.note(name)  # last, so that others do this if this process is killed
