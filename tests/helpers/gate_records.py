"""Made-up records of a classification suite for the gate."""

import numpy as np

from flatqat.bench.records.store import Store
from flatqat.spec import Cell, Record
from tests.helpers.records import margins_of, protocol, scores_of, shift_info

CELL = Cell(suite="s", suite_version=1, model="m", method="qat", quant="4", recipe="b", seed=0)
SHIFTS = {
    "id": shift_info("id"),
    "fog/1": shift_info("weather", severity=1),
    "blur/1": shift_info("blur", severity=1),
    "spatter/1": shift_info("extra", severity=1, in_mean=False),
}
N = 2000


def store_with(folder, right: dict[str, np.ndarray], cell: Cell = CELL, shifts=SHIFTS) -> Store:
    """A store with one record of these outcomes, right or wrong for each image."""
    record = Record(cell=cell, status="done", scores=scores_of(right), protocol=protocol(shifts))
    store = Store(folder)
    store.write_record(record, margins_of(right))
    return store


def outcomes(seed: int = 0, n: int = N) -> dict[str, np.ndarray]:
    """Random outcomes, about 80% right, for every shift."""
    rng = np.random.default_rng(seed)
    return {shift: rng.random(n) < 0.8 for shift in SHIFTS}
