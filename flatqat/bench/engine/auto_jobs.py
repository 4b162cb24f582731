"""How many processes pay for themselves in a run on this machine."""

from flatqat.bench.cell.machine import cores, peak_memory
from flatqat.bench.cell.session import Session
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


def jobs_worth(work: float, fit: int, more: int) -> int:
    """Return the number of processes: as many as are worth it, as `fit` the cores, and one and `more`."""
    return max(1, min(int(work // WORTH_A_WORKER), fit, 1 + more))
