"""Made-up records of a segmentation suite: two conditions, each with images of its own."""

import numpy as np

from flatqat.bench.records.store import Store
from flatqat.metrics.confusion import Confusions
from flatqat.spec import Cell, Record, Score
from tests.helpers.records import protocol, shift_info

FP = Cell(suite="streets", suite_version=1, model="m", method="fp", quant="fp", recipe="b", seed=0)
NAMES = ["road", "car", "train"]
SHIFTS = {
    name: shift_info(name, image_set=name, in_mean=in_mean)
    for name, in_mean in (("val", False), ("id", True), ("fog", True), ("night", True), ("aside", False))
}
QUALITY = {"val": 0.8, "id": 0.8, "fog": 0.7, "night": 0.4, "aside": 0.1}
SIZES = {"val": 8, "id": 30, "fog": 20, "night": 25, "aside": 8}

Matrices = dict[str, np.ndarray]
"""shift -> (n, C, C)"""


def matrices(seed: int = 0, loss: float = 0.0) -> Matrices:
    """Truth is that of the images alone; `loss` of quality in all shifts. No train stands in the fog."""
    made = {}
    for at, shift in enumerate(SHIFTS):
        images, rng = np.random.default_rng(at), np.random.default_rng([at, seed])
        truth = (1 + images.gamma(0.7, 300, size=(SIZES[shift], len(NAMES)))).astype(int)
        right = np.clip(QUALITY[shift] - loss + 0.1 * images.normal(size=truth.shape), 0, 1)
        hits = rng.binomial(truth, right)
        made[shift] = np.zeros((*truth.shape, len(NAMES)), int)
        for k in range(len(NAMES)):
            made[shift][:, k, k] = hits[:, k]
            made[shift][:, k, (k + 1) % 2] += truth[:, k] - hits[:, k]  # road and car are false alarms
        if shift == "fog":
            made[shift][:, 2] = 0
    return made


def iou(matrix: np.ndarray) -> list[float | None]:
    """By class, percent, of a pooled matrix; None for 0/0."""
    union = matrix.sum(axis=0) + matrix.sum(axis=1) - matrix.diagonal()
    return [100 * float(h) / float(u) if u else None for h, u in zip(matrix.diagonal(), union, strict=True)]


def miou(matrix: np.ndarray) -> float:
    return float(np.mean([value for value in iou(matrix) if value is not None]))


def put(store: Store, cell: Cell, of: Matrices) -> None:
    """A finished record with its outcomes."""
    scores, arrays = {}, {}
    for shift, each in of.items():
        pooled, n = each.sum(axis=0), len(each)
        scores[shift] = {
            "miou": Score(value=miou(pooled), n=n, stderr=1.25),
            "nll": Score(value=1.0, n=n),
            "ece": Score(value=2.0, n=n),
            **{f"iou/{k}": Score(value=value, n=n) for k, value in enumerate(iou(pooled))},
        }
        packed = Confusions.pack(np.concatenate([each, np.zeros_like(each[:, :, :1])], axis=2))
        arrays |= {f"{shift}:confusion": packed.confusion, f"{shift}:unpredicted": packed.unpredicted}
    how = protocol(SHIFTS, suite="p", reference=cell.method == "fp", metric="miou", class_names=tuple(NAMES))
    store.write_record(Record(cell=cell, status="done", scores=scores, protocol=how), arrays)
