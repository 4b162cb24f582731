"""What a second process gains: one matrix with `--jobs 2` against `--jobs 1`.

    python perf/jobs.py

Eight cells of digits-c with their four pretrainings, each time into an empty folder. Wall time tells the
truth only on two idle cores. On a busy machine the CPU time of all processes says what sharing costs, and
that of the busiest process bounds what it gains.
"""

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass

RUN = """
import json, resource, sys, time
from pathlib import Path
began = time.perf_counter()
import flatqat
request = flatqat.Request(
    methods=("fp", "qat"), seeds=(0, 1, 2, 3), results=Path(sys.argv[1]), jobs=int(sys.argv[2]), device="cpu"
)
records = flatqat.run(request, progress=False)
assert [record.status for record in records] == ["done"] * 8
wall = time.perf_counter() - began
usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
print(json.dumps([wall, *(usage.ru_utime + usage.ru_stime for usage in usages)]))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """Seconds of a run: on the wall, and of the CPU for the process that began it and for its workers."""

    wall: float
    own_cpu: float
    workers_cpu: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Speedup:
    """Two processes against one.

    Attributes:
        wall: How much less time they take.
        cpu: How much more CPU time they take together.
        bound: How much less CPU time the busier one takes: the gain in wall time if none ever waits.
    """

    wall: float
    cpu: float
    bound: float


def times(jobs: int) -> Times:
    """Run the matrix with so many processes."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", RUN, f"{folder}/results", str(jobs)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    wall, own, workers = json.loads(done.stdout)
    return Times(wall=wall, own_cpu=own, workers_cpu=workers)


def speedup() -> Speedup:
    """Run the matrix with one process and with two."""
    one, two = times(1), times(2)
    return Speedup(
        wall=one.wall / two.wall,
        cpu=(two.own_cpu + two.workers_cpu) / one.own_cpu,
        bound=one.own_cpu / max(two.own_cpu, two.workers_cpu),
    )


def main() -> None:
    """Print the gain."""
    found = speedup()
    print(f"--jobs 2 against --jobs 1: wall time / {found.wall:.2f}, CPU time x {found.cpu:.2f}")
    print(f"at most / {found.bound:.2f} by the CPU time of the busier process")


if __name__ == "__main__":
    main()
