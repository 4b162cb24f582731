"""Runs of the whole benchmark in tests: on the CPU, in silence."""

import torch

from flatqat.bench.cell.session import Session
from flatqat.bench.engine.run import run
from flatqat.bench.plan.jobs import Plan
from flatqat.bench.plan.request import Request
from flatqat.bench.records.store import Store
from flatqat.console.progress import Progress
from flatqat.spec import Record

CPU = torch.device("cpu")


def session_of(request: Request, progress: Progress | None = None) -> Session:
    """A session on the CPU."""
    return Session(request=request, store=Store(request.results), device=CPU, progress=progress or Progress())


def run_plan(plan: Plan, progress: Progress | None = None) -> list[Record]:
    """The records of a plan that is run."""
    return run(plan, session_of(plan.request, progress))
