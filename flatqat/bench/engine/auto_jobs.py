"""How many processes are worth starting for a run on this machine."""

from collections.abc import Sequence

from flatqat.bench.cell.machine import cores, peak_memory
from flatqat.bench.cell.session import Lack, Session
from flatqat.bench.engine.workload import flatness_work, scoring_work, training_work
from flatqat.memory import available_memory

WORTH_A_WORKER = 100_000.0
"""Forward passes of one image: at the very least 10 s of work, and a worker starts in about 4 s."""
LEAST_MEMORY = 2**30  # bytes of one process


def auto_jobs(work: float, session: Session) -> int:
    """Return how many processes should share `work`, in forward passes of one image; a GPU takes one."""
    if session.device.type != "cpu":
        return 1
    each = max(LEAST_MEMORY, 2 * peak_memory())
    return jobs_worth(work, cores() // session.request.threads, available_memory() // each)


def processes(todo: Sequence[Lack], session: Session) -> int:
    """Return how many processes share the work, each with cores or a GPU of its own.

    That is 1 for a Ray cluster, whose size may change.
    """
    request = session.request
    if request.ray or session.device.type != "cpu":
        return max(1, len({*request.devices}))
    if count := len(request.devices) or request.jobs:
        return max(1, min(count, cores() // request.threads))
    of_jobs = (training_work(one, session) + flatness_work(one, session) for one in todo)
    return auto_jobs(sum(of_jobs) + sum(scoring_work(one, session) for one in todo), session)


def jobs_worth(work: float, fit: int, more: int) -> int:
    """Return how many processes `work` is worth, at least 1.

    The cores have room for `fit` processes, the memory for `more` beside this one.
    """
    return max(1, min(int(work // WORTH_A_WORKER), fit, 1 + more))
