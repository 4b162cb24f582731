"""Made-up records of a classification suite for the gate."""

from typing import Any

import numpy as np

from flatqat.bench.records.store import Store
from flatqat.spec import Cell, Environment, Record
from tests.helpers.records import environment, margins_of, protocol, scores_of, shift_info, train_log

CELL = Cell(suite="s", suite_version=1, model="m", method="qat", quant="4", recipe="b", seed=0)
SHIFTS = {
    "id": shift_info("id"),
    "fog/1": shift_info("weather", severity=1),
    "blur/1": shift_info("blur", severity=1),
    "spatter/1": shift_info("extra", severity=1, in_mean=False),
}
N = 2000


def store_with(
    folder,
    right: dict[str, np.ndarray],
    cell: Cell = CELL,
    shifts=SHIFTS,
    env: Environment | None = None,
    steps: int = 5,
    **of_protocol: Any,
) -> Store:
    """A store with one record of these outcomes, right or wrong for each image."""
    record = Record(
        cell=cell,
        status="done",
        scores=scores_of(right),
        protocol=protocol(shifts, **of_protocol),
        env=env or environment(),
        train=train_log(steps),
    )
    store = Store(folder)
    store.write_record(record, margins_of(right))
    return store


def outcomes(seed: int = 0, n: int = N) -> dict[str, np.ndarray]:
    """Random outcomes, about 80% right, for every shift."""
    rng = np.random.default_rng(seed)
    return {shift: rng.random(n) < 0.8 for shift in SHIFTS}


def flipped(right: np.ndarray, lost: int = 0, won: int = 0) -> np.ndarray:
    """`lost` right images made wrong, and `won` wrong ones right."""
    new = right.copy()
    new[np.flatnonzero(right)[:lost]] = False
    new[np.flatnonzero(~right)[:won]] = True
    return new
