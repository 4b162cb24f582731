"""Made-up pictures beside the made-up records of streets: places 2 and 7 of fog and night."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from flatqat.bench.records.pictures import SeenImage, as_jpeg
from flatqat.bench.records.store import Store
from flatqat.spec import Cell
from tests.helpers import street_records
from tests.helpers.street_records import FP, matrices

QAT = replace(FP, method="qat", quant="4")
SHIFTS, PLACES, SHAPE = ("fog", "night"), (2, 7), (12, 20)


def labels(seed: int, shift: str, at: int) -> np.ndarray:
    """A map of three classes in blocks of four pixels, some of them not labeled where the seed is 99."""
    rng = np.random.default_rng([seed, SHIFTS.index(shift), at])
    blocks = rng.choice([0, 1, 2, 255] if seed == 99 else [0, 1, 2], size=(3, 5))
    return np.kron(blocks, np.ones((4, 4))).astype(np.uint8)


def put_with_pictures(store: Store, cell: Cell, seed: int) -> None:
    """A finished record with outcomes and predictions."""
    street_records.put(store, cell, matrices(seed))
    predicted = {shift: {at: labels(seed, shift, at) for at in PLACES} for shift in SHIFTS}
    store.pictures.write(store.record(cell), predicted)


def store_with_pictures(root: Path) -> Store:
    """Full precision and 4 bits, both with predictions, beside the images and their truth."""
    store = Store(root)
    put_with_pictures(store, FP, 0)
    put_with_pictures(store, QAT, 1)
    put_seen(store)
    return store


def put_seen(store: Store) -> None:
    """The images, gray noise, and their truth."""
    for shift in SHIFTS:
        seen = {}
        for at in PLACES:
            pixels = np.random.default_rng(at).integers(0, 255, size=(*SHAPE, 3)).astype(np.uint8)
            seen[at] = SeenImage(image=as_jpeg(pixels), truth=labels(99, shift, at))
        store.pictures.add_seen("streets", shift, seen)
