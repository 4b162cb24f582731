"""Made-up records of a classification suite for the gate."""

import numpy as np

from flatqat.bench.records.store import Store
from flatqat.spec import Cell, Record, Score

SHIFTS = {
    "id": {"family": "id", "severity": None, "image_set": "id", "in_mean": True},
    "fog/1": {"family": "weather", "severity": 1, "image_set": "id", "in_mean": True},
    "blur/1": {"family": "blur", "severity": 1, "image_set": "id", "in_mean": True},
    "spatter/1": {"family": "extra", "severity": 1, "image_set": "id", "in_mean": False},
}
N = 2000
CELL = Cell(suite="s", suite_version=1, model="m", method="qat", quant="4", recipe="b", seed=0)


def store_with(folder, right: dict[str, np.ndarray], cell: Cell = CELL, shifts=SHIFTS) -> Store:
    unused = Score(value=None, n=0)
    scores = {
        s: {"top1": Score(value=100 * float(r.mean()), n=len(r)), "nll": unused, "ece": unused}
        for s, r in right.items()
    }
    protocol = {"shifts": shifts, "reference": False, "suite": "made up", "data": "0"}
    record = Record(cell=cell, status="done", scores=scores, protocol=protocol)
    store = Store(folder)
    store.write_record(
        record, {f"{s}:margin": np.where(r, 1, -1).astype(np.float16) for s, r in right.items()}
    )
    return store


def outcomes(seed: int = 0, n: int = N) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {shift: rng.random(n) < 0.8 for shift in SHIFTS}
