"""The default run.

CPU seconds of `flatqat bench run` with one seed, and what part of them each stage takes. Seconds depend on
the machine; the shares hardly do. The rest is start-up, planning, data and records.
"""

import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

from flatqat.bench.engine import run as engine
from flatqat.bench.plan.request import Request
from perf.rounds import Row, Spread

STAGES = {"train": "training", "measure": "flatness", "evaluate": "evaluation"}


def rows(rounds: int) -> list[Row]:
    runs = [seconds() for _ in range(min(2, rounds))]
    whole = Row.of("default run of one seed, CPU seconds", Spread.of([run["whole"] for run in runs]))
    shares = [
        Row.of(f"default run, share of {title}", Spread.of([run[stage] / run["whole"] for run in runs]))
        for stage, title in STAGES.items()
    ]
    return [whole, *shares]


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
            stack.enter_context(patch.object(engine, stage, counted(stage, getattr(engine, stage))))
        began = time.process_time()
        engine.run_request(Request(seeds=(0,), results=Path(folder)), progress=False)
        return {"whole": time.process_time() - began, **spent}
