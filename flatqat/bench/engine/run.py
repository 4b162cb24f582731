"""The whole benchmark: plan -> train -> measure -> evaluate -> record. Each step resumes on its own."""

from collections.abc import Sequence
from dataclasses import replace

from flatqat.bench.cell.session import Lack, Session
from flatqat.bench.engine.assemble import assemble, with_flatness
from flatqat.bench.engine.countdown import Countdown
from flatqat.bench.engine.evaluate import evaluate
from flatqat.bench.engine.preflight import preflight
from flatqat.bench.engine.train import train
from flatqat.bench.engine.troubles import Troubles
from flatqat.bench.flatness.measure import measure
from flatqat.bench.plan.jobs import Plan, make_plan
from flatqat.bench.plan.request import Request
from flatqat.bench.records.files import Arrays
from flatqat.bench.records.revisions import now, renewed
from flatqat.bench.records.store import Store
from flatqat.console.progress import Progress, progress_for
from flatqat.console.terminal import terminal
from flatqat.errors import Vanished
from flatqat.spec import Record

ATTEMPTS = 100  # to go on after another run has removed files


def run(plan: Plan, session: Session) -> list[Record]:
    """Run what is missing of a plan; returns the record of every scored job, in the plan's order.

    Another run into the same folder may finish a cell first and remove what this one is about to read. Then
    it looks again, and does what is still to do.
    """
    todo, troubles = session.lacking(plan), Troubles(session.progress)
    _say_what_is_stored(todo, plan, session)
    if todo:
        preflight(todo, plan, session, troubles)
    if session.request.rerun:
        for lack in todo:
            session.store.forget_work(lack.job.cell)
    results: dict[str, Record] = {}
    for attempt in range(ATTEMPTS):
        try:
            _run(todo, plan, session, troubles, results)
            break
        except Vanished:
            if attempt == ATTEMPTS - 1:
                raise
            todo = todo if session.request.rerun else session.lacking(plan)
            todo = [lack for lack in todo if lack.job.cell.id not in results]
    stored = (results.get(job.cell.id) or session.store.record(job.cell) for job in plan.scored())
    return renewed([record for record in stored if record], session.store)


def _run(
    todo: Sequence[Lack], plan: Plan, session: Session, troubles: Troubles, results: dict[str, Record]
) -> None:
    """Do what is to do, and put the new records into `results`."""
    countdown = Countdown(todo, session)
    for lack in troubles.runnable(todo):
        countdown.at_job(lack)
        with troubles.catch(lack.job):
            train(lack.job, session)
            measure(lack, session)
    for suite in plan.suites:
        lacks = [lack for lack in todo if lack.job.suite is suite]
        scored = [lack.job for lack in lacks if lack.scores and not troubles.get(lack.job)]
        countdown.at_suite(suite.key, len(scored))
        evaluate(suite, scored, session, troubles)
        for lack in lacks:
            if record := _keep(lack, troubles, session):
                results[lack.job.cell.id] = record


def _say_what_is_stored(todo: Sequence[Lack], plan: Plan, session: Session) -> None:
    wanted, lacking = plan.scored(), {lack.job.cell.id for lack in todo}
    stored = sum(job.cell.id not in lacking for job in wanted)
    if stored:
        rest = "" if todo else "; nothing to do"
        session.progress.say(f"{stored} of {len(wanted)} cells stored in {session.store.root}{rest}")


def run_request(request: Request, *, progress: bool = True) -> list[Record]:
    """Plan and run a request, as `flatqat bench run` does; returns the record of every cell.

    Args:
        request: What to run. Cells that are stored in `request.results` are not run again.
        progress: Whether progress is shown on stderr.

    Raises FlatqatError if the request, the data or the weights are not usable, before anything is computed.
    """
    plan = make_plan(request)
    return run(plan, Session.open(request, progress_for(terminal(stderr=True)) if progress else Progress()))


def _keep(lack: Lack, troubles: Troubles, session: Session) -> Record | None:
    """Write the record of a job; returns what to report of it, or None for the record that is stored.

    A finished record is never replaced by a failure, nor is one that another run wrote meanwhile.
    """
    store, job, request = session.store, lack.job, session.request
    made: tuple[Record, Arrays] | None = None
    if lack.scores and not troubles.get(job) and (request.rerun or not store.finished(job.cell)):
        with troubles.catch(job, ends=()):
            made = assemble(job, request, store, session.device)
    trouble = troubles.get(job)
    if made:
        record, outcomes = made
        return _write(record, store, outcomes)
    if lack.scores and store.finished(job.cell):
        store.drop_work(job.cell)
    elif lack.scores and trouble:
        return _write(trouble, store)
    elif lack.spaces and not trouble:
        _write(with_flatness(job, store), store)
    return trouble if request.rerun else None


def _write(record: Record, store: Store, outcomes: Arrays | None = None) -> Record:
    return store.write_record(replace(record, last_run=now()), outcomes)
