"""Evaluate many models in one pass: each shift is read once, and every model runs on each batch."""

from itertools import chain

import torch

from flatqat.bench.cell.halving import free_memory
from flatqat.bench.cell.session import Session
from flatqat.bench.engine.together import Together
from flatqat.bench.engine.troubles import Troubles
from flatqat.bench.plan.jobs import Job
from flatqat.bench.records.claims import Claims
from flatqat.console.board import Doing
from flatqat.errors import counted
from flatqat.memory import available_memory
from flatqat.suite import Suite

MEMORY_SHARE = 0.5


@torch.inference_mode()
def evaluate(suite: Suite, jobs: list[Job], session: Session, troubles: Troubles, claims: Claims) -> bool:
    """Score jobs on every shift whose scores are not stored; models with the same crop share its images.

    Shifts claimed by other processes are left out; returns whether any shift was free. A job that fails is
    left to `troubles`. Jobs that lack memory beside others are scored again in smaller groups, down to each
    on its own, with batches of the same size: smaller ones could change last digits.
    """
    groups, found = groups_in_memory(jobs, session), False
    for group in groups:
        together = Together(group, session, troubles)
        title = f"evaluate {counted(len(group), 'model')} on {suite.name}"
        doing = Doing("scoring", tuple(job.cell.id for job in group), counted=True)
        for which in dict.fromkeys(shift.weights for shift in suite.scored):
            shifts = {f"{suite.key}-{s.name}": s for s in suite.scored if s.weights == which}
            with claims.each(shifts, together.has_scored) as free:
                if (first := next(free, None)) is None:
                    continue
                found = True
                together.restore(which)
                left = sum(not together.has_scored(shift) for shift in shifts.values())
                with session.progress.task(title, left, doing) as advance:
                    together.score(chain([first], free), advance)
        if together.lacked_memory:
            free_memory()
            groups += in_halves(together.lacked_memory)
    return found


def in_halves(jobs: list[Job]) -> list[list[Job]]:
    """Return the two halves of some jobs; of a single one, itself."""
    half = (len(jobs) + 1) // 2
    return [part for part in (jobs[:half], jobs[half:]) if part]


def groups_in_memory(jobs: list[Job], session: Session) -> list[list[Job]]:
    """Split jobs into groups whose weights take at most half of this process's part of the free memory."""
    room = MEMORY_SHARE * available_memory(session.device) / (session.request.jobs or 1)
    groups: list[list[Job]] = []
    used = 0
    for job in jobs:
        size = 2 * session.store.weights_size(job.cell)  # the latent and the rounded weights
        if not groups or used + size > room:
            groups.append([])
            used = 0
        groups[-1].append(job)
        used += size
    return groups
