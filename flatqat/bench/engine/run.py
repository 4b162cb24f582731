"""The whole benchmark: plan -> train -> measure -> evaluate -> record. Each step resumes on its own."""

import traceback
from collections.abc import Mapping

import torch

from flatqat.bench.engine.evaluate import evaluate
from flatqat.bench.engine.preflight import check_data
from flatqat.bench.engine.record import assemble, failed, skipped, with_flatness
from flatqat.bench.engine.train import train
from flatqat.bench.flatness.measure import measure
from flatqat.bench.plan.jobs import Job, Plan
from flatqat.bench.plan.request import Request, lacking_spaces
from flatqat.bench.records.store import Store
from flatqat.console.progress import Progress
from flatqat.errors import FlatqatError, TrainingFailed
from flatqat.spec import Record


def run(plan: Plan, device: torch.device, progress: Progress) -> list[Record]:
    """Run what is missing of a plan; returns the record of every scored job, in the plan's order."""
    request, store = plan.request, Store(plan.request.results)
    todo = missing(plan, store)
    check_data(todo, request, store, progress)
    if request.rerun:
        for job in todo:
            store.forget_work(job.cell)
    broken: dict[str, Record] = {}
    for job in todo:
        if reason := job.skip or blocked(job, broken):
            broken[job.cell.id] = skipped(job, reason)
            continue
        try:
            train(job, request, store, device, progress)
            if is_missing(job, request, store):
                measure(job, request, store, device, progress)
        except TrainingFailed as failure:
            progress.say(f"failed: {job.title}: {failure}")
            broken[job.cell.id] = failed(job, str(failure))
        except FlatqatError:
            raise
        except Exception as bug:  # one rule's bug must not cost the others their results
            progress.say(f"crashed: {job.title}\n{traceback.format_exc()}")
            broken[job.cell.id] = failed(job, f"crashed: {bug!r}")
    for suite in plan.suites:
        jobs = [job for job in todo if job.suite is suite and is_missing(job, request, store)]
        unscored = [job for job in jobs if request.rerun or not store.finished(job.cell)]
        whole = [job for job in unscored if job.cell.id not in broken]
        evaluate(suite, whole, request, store, device, progress)
        for job in jobs:
            if job in whole:
                if request.rerun or not store.finished(job.cell):  # by another run in the same folder
                    store.write_record(*assemble(job, request, store, device))
            elif job in unscored:
                store.write_record(broken[job.cell.id])
            elif job.cell.id not in broken:
                store.write_record(with_flatness(job, store))
    return [record for job in plan.scored() if (record := store.record(job.cell))]


def blocked(job: Job, broken: Mapping[str, Record]) -> str:
    """Why a job's start cannot be had, if so."""
    start = job.parent and broken.get(job.parent.cell.id)
    return f"its start {start.cell.label} {start.status}: {start.reason}" if start else ""


def is_missing(job: Job, request: Request, store: Store) -> bool:
    """Whether a job's record is still to be written."""
    if not job.scored or request.rerun:
        return job.scored
    record = store.finished(job.cell)
    return record is None or bool(lacking_spaces(job.cell, record.flatness, request))


def missing(plan: Plan, store: Store) -> list[Job]:
    """The scored jobs that are not complete, and the starts that they need, in the plan's order."""
    needed = {job.cell.id for job in plan.jobs if is_missing(job, plan.request, store)}

    def untrained(job: Job) -> bool:
        return not store.has_weights(job.cell) and bool(job.parent and not store.has_weights(job.parent.cell))

    for job in reversed(plan.jobs):
        if job.cell.id in needed and job.parent and (plan.request.rerun or untrained(job)):
            needed.add(job.parent.cell.id)
    return [job for job in plan.jobs if job.cell.id in needed]
