"""The rows that a run's progress display shows: its cells and their states."""

from collections.abc import Sequence

from flatqat.bench.cell.session import Lack
from flatqat.bench.plan.jobs import Job, Plan
from flatqat.bench.records.paired import ood_shifts
from flatqat.bench.records.sections import method_of
from flatqat.bench.records.store import Store
from flatqat.console.board import UNKNOWN, Pair, Row
from flatqat.metrics.metric import METRICS
from flatqat.metrics.missing import mean_if_complete
from flatqat.spec import Record


def rows_of(plan: Plan, todo: Sequence[Lack], store: Store) -> list[Row]:
    """Return a row for each cell that gets scores or is trained, in the plan's order."""
    lacking = {lack.job.cell.id for lack in todo}
    jobs = [job for job in plan.jobs if job.scored or job.cell.id in lacking]
    recipes_differ = len({job.cell.recipe_args for job in jobs}) > 1
    return [_row(job, store, stored=job.cell.id not in lacking, recipe=recipes_differ) for job in jobs]


def scores_of(record: Record | None) -> Pair:
    """Return the metric of a record's suite, in percent, on `id` and in the mean over shifts."""
    if record is None or record.status != "done":
        return UNKNOWN
    metric = record.protocol.metric
    (known,) = record.values(metric, ["id"])
    return known, mean_if_complete(record.values(metric, ood_shifts(record)))


def _row(job: Job, store: Store, *, stored: bool, recipe: bool) -> Row:
    cell = job.cell
    settings = [f"{key}={value}" for key, value in cell.recipe_args] if recipe else []
    return Row(
        key=cell.id,
        title=job.title,
        labels=(cell.suite, cell.model, ", ".join([method_of(cell), *settings]), cell.bits),
        seed=cell.seed,
        metric=METRICS[job.suite.metric].title,
        scored=job.scored,
        state="done" if stored else "waiting",
        scores=scores_of(store.record(cell)) if stored else UNKNOWN,
    )
