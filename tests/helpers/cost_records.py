"""Made-up runs with made-up costs: two models at several bits, of known OOD accuracy."""

from pathlib import Path

import numpy as np

from flatqat.bench.records.store import Store
from flatqat.spec import Cell, Cost, Flatness, Record
from tests.helpers.records import margins_of, protocol, scores_of, shift_info

SHIFTS = {
    "val": shift_info("val", image_set="val", in_mean=False),
    "id": shift_info("id"),
    "fog/1": shift_info("weather", severity=1),
}
N = 200


def cost(weights: int, bits: int, macs: int = 1_234_567_891) -> Cost:
    return Cost(
        image=(8, 8),
        macs=macs,
        bops=macs * bits * bits,
        weight_bytes=weights * bits // 8,
        other_bytes=1001,
        activation_bytes=4321,
    )


def put(
    root: Path,
    method: str,
    quant: str,
    ood: float,
    of: Cost | None,
    seed: int = 0,
    flatness: Flatness | None = None,
    **cell: object,
) -> Record:
    """Store a run whose OOD accuracy is `ood`, a fraction of N images."""
    fields = {"suite": "s", "suite_version": 1, "model": "m", "recipe": "b", **cell}
    right = {shift: np.arange(N) < round(N * (ood if shift == "fog/1" else 0.9)) for shift in SHIFTS}
    record = Record(
        cell=Cell(method=method, quant=quant, seed=seed, **fields),
        status="done",
        scores=scores_of(right),
        protocol=protocol(SHIFTS, reference=method == "fp"),
        cost=of,
        flatness=flatness or Flatness(),
    )
    Store(root).write_record(record, margins_of(right))
    return record
