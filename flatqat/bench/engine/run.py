"""The whole benchmark: plan -> train -> measure -> evaluate -> record. Each step resumes on its own."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from flatqat.bench.cell.determinism import flags_put_back
from flatqat.bench.cell.halving import again
from flatqat.bench.cell.session import Lack, Session
from flatqat.bench.engine.crew import Crew
from flatqat.bench.engine.distributed import check_batches, leading
from flatqat.bench.engine.preflight import preflight
from flatqat.bench.engine.ray_crew import RayCrew
from flatqat.bench.engine.sharing import take_part
from flatqat.bench.engine.troubles import Troubles
from flatqat.bench.engine.whereabouts import rows_of
from flatqat.bench.engine.workload import flatness_work, scoring_work, training_work
from flatqat.bench.plan.jobs import Job, Plan, make_plan
from flatqat.bench.plan.request import Request, lacking_spaces
from flatqat.bench.ranks.ranks import Ranks
from flatqat.bench.records.revisions import renewed
from flatqat.bench.sinks.named import check_sink
from flatqat.console.merged import Merged
from flatqat.console.progress import Progress, progress_for
from flatqat.console.terminal import terminal
from flatqat.errors import UsageError
from flatqat.spec import Flatness, Record
from flatqat.spec.flatness import passing


def run(plan: Plan, session: Session, ranks: Ranks | None = None) -> list[Record]:
    """Run what is missing of a plan; returns the record of every scored job, in the plan's order.

    With `ranks`, this process leads others, which train each cell together and then share the rest.
    """
    check_sink(session.request.log)
    session = replace(session, progress=Merged(session.progress))
    todo, troubles = session.lacking(plan), Troubles(session.progress)
    _say_what_is_stored(todo, plan, session)
    if todo:
        work = sum(training_work(lack, session) + flatness_work(lack, session) for lack in todo)
        with (RayCrew if session.request.ray else Crew)(session, todo) as crew:
            if not ranks:
                crew.grow(work)  # they start while this process checks
            again(partial(preflight, todo, plan, session, troubles), "all checks", session.progress.say)
            work += sum(scoring_work(lack, session) for lack in todo)
            if ranks:
                check_batches(todo, session, ranks)
            else:
                session = replace(session, request=crew.grow(work))
            with session.store.claims() as claims, leading(ranks, todo, session) as first:
                with session.progress.cells(rows_of(plan, todo, session.store)):
                    crew.work(partial(take_part, todo, plan, session, troubles, claims, first))
                troubles.share(claims)
    else:
        session.store.tidy()
    records = [_record(job, session, troubles) for job in plan.scored()]
    return renewed([record for record in records if record], session.store)


def _record(job: Job, session: Session, troubles: Troubles) -> Record | None:
    """Return what to report of a job: its record, or why a rerun did not replace it.

    If flatness could not be added to a finished record, the returned one says why.
    """
    stored, trouble, request = session.store.record(job.cell), troubles.get(job), session.request
    if not (trouble and stored and stored.status == "done"):
        return stored
    if request.rerun:
        return trouble
    lacking = lacking_spaces(job.cell, stored.flatness, request)
    failing = Flatness(failures=dict.fromkeys(lacking, passing(trouble.reason)))
    return replace(stored, flatness=stored.flatness.updated(failing))


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
    if not isinstance(request, Request):
        raise UsageError(f"flatqat.run: expected a flatqat.Request, got {request!r}")
    plan = make_plan(request)
    shown = progress_for(terminal(stderr=True)) if progress else Progress()
    with flags_put_back():
        return run(plan, Session.open(request, shown))
