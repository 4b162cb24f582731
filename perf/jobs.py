"""What a second process gains.

`flatqat bench run` with eight cells of digits-c and their four pretrainings into an empty folder, by one
process and with `--jobs 2`. Wall time is meaningful only on two idle cores. Where others work too, CPU time
says more: what sharing costs, and that of the busier process, which bounds what it gains.
"""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass

from perf.rounds import Row, Spread

GOAL = "≥ 1.8"
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


def rows(rounds: int) -> list[Row]:
    name = "8 cells with one process / two, wall time"
    if (os.cpu_count() or 1) < 2:
        return [Row(name=name, goal=GOAL, note="one core here")]
    runs = [(times(1), times(2)) for _ in range(rounds)]
    wall = [one.wall / two.wall for one, two in runs]
    bound = [one.own_cpu / max(two.own_cpu, two.workers_cpu) for one, two in runs]
    costs = [(two.own_cpu + two.workers_cpu) / one.own_cpu for one, two in runs]
    return [
        Row.of(name, Spread.of(wall), goal=GOAL),
        Row.of("8 cells with one process / the busier of two, CPU time", Spread.of(bound)),
        Row.of("8 cells with two processes together / one, CPU time", Spread.of(costs)),
    ]


def times(jobs: int) -> Times:
    """Run the matrix with so many processes."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", RUN, f"{folder}/results", str(jobs)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    wall, own, workers = json.loads(done.stdout)
    return Times(wall=wall, own_cpu=own, workers_cpu=workers)
