"""The default run.

`flatqat bench run` into an empty folder: nine cells, of three methods and three seeds. Seconds on the clock,
with as many processes as it takes, are meaningful only on idle cores. CPU seconds are those of one process,
and the shares what each stage takes of them; the rest is planning, data and records. Seconds depend on the
machine; the shares hardly do.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

from flatqat.bench.engine import pieces
from flatqat.bench.engine.run import run_request
from flatqat.bench.plan.request import Request
from perf.rounds import Row, Spread

STAGES = {"train": "training", "measure": "flatness", "evaluate": "evaluation"}


def rows(rounds: int) -> list[Row]:
    runs = [seconds() for _ in range(rounds)]
    clock = Row.of("default run, seconds", Spread.of([wall() for _ in range(rounds)]), goal="≤ 60")
    whole = Row.of("default run, CPU seconds of one process", Spread.of([run["whole"] for run in runs]))
    shares = [
        Row.of(f"default run, share of {title}", Spread.of([run[stage] / run["whole"] for run in runs]))
        for stage, title in STAGES.items()
    ]
    return [clock, whole, *shares]


def wall() -> float:
    """Return the seconds of the command as a user types it."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        command = [sys.executable, "-m", "flatqat", "bench", "run", "--results", f"{folder}/results"]
        subprocess.run(command, check=True, capture_output=True)
        return time.perf_counter() - began


def seconds() -> dict[str, float]:
    """Return the CPU seconds of a whole run, and those within each stage."""
    spent = dict.fromkeys(STAGES, 0.0)

    def counted(stage: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def within(*args: Any) -> Any:
            began = time.process_time()
            try:
                return call(*args)
            finally:
                spent[stage] += time.process_time() - began

        return within

    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        for stage in STAGES:
            stack.enter_context(patch.object(pieces, stage, counted(stage, getattr(pieces, stage))))
        began = time.process_time()
        run_request(Request(results=Path(folder) / "results"), progress=False)
        return {"whole": time.process_time() - began, **spent}
