"""A store with made-up runs of known differences and known flatness."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from flatqat.bench.records.store import Store
from flatqat.spec import Cell, Flatness, Record
from tests.helpers.records import (
    environment,
    margins_of,
    protocol,
    scores_of,
    shift_info,
    space_flatness,
    train_log,
)

CELL = Cell(suite="s", suite_version=1, model="m", method="qat", quant="4", recipe="b", seed=0)
SHIFTS = {
    "val": shift_info("val", image_set="val", in_mean=False),
    "id": shift_info("id"),
    "fog/1": shift_info("weather", severity=1),
    "snow/1": shift_info("weather", severity=1),
    "blur/1": shift_info("blur", severity=1),
    "spatter/1": shift_info("extra", severity=1, in_mean=False),
}
SHARE = {"val": 0.9, "id": 0.9, "fog/1": 0.8, "snow/1": 0.7, "blur/1": 0.6, "spatter/1": 0.3}
NOT_MEASURED = Flatness()
N, SEEDS = 500, (0, 1, 2)
METHODS = ("ema", "sam", "swad", "freeze", "dampen", "lookahead", "gsam")


def right_of(seed: int, scatter: float, gain: dict[str, float], key: list[int]) -> dict[str, np.ndarray]:
    """Images have a difficulty that all runs share; `gain` is in fractions, by family."""
    difficulty = np.random.default_rng(0).random(N)
    rng = np.random.default_rng([seed, *key])
    found = {}
    for shift, share in SHARE.items():
        noise = scatter * rng.standard_normal(N)
        found[shift] = difficulty + noise < share + gain.get(SHIFTS[shift].family, 0.0)
    return found


def flatness(sharpness: float, latent: float) -> Flatness:
    return Flatness(quantized=space_flatness(sharpness), latent=space_flatness(latent, space="latent"))


def put(store: Store, cell: Cell, right: dict[str, np.ndarray], measured: Flatness = NOT_MEASURED) -> Record:
    record = Record(
        cell=cell,
        status="done",
        scores=scores_of(right),
        flatness=measured,
        train=train_log(),
        protocol=protocol(SHIFTS, reference=cell.method == "fp", method=dict(cell.method_args)),
        env=environment(),
    )
    store.write_record(record, margins_of(right))
    return record


def planted(root: Path, *, slope: float = 0.0, better: float = 0.0, seeds: tuple[int, ...] = SEEDS) -> Store:
    """`qat`, seven others and `fp` at 4 bits.

    A method's OOD share falls by `slope` from the flattest to the sharpest; `sam` is `better` on weather.
    The latent space is measured with the order of the methods turned round.
    """
    store = Store(root)
    methods = ("fp", "qat", *METHODS)
    for place, method in enumerate(methods):
        for seed in seeds:
            gain = dict.fromkeys(("weather", "blur"), -slope * place / len(methods))
            gain["weather"] += better * (method == "sam")
            right = right_of(seed, 0.02, gain, [place])
            cell = replace(CELL, method=method, quant="fp" if method == "fp" else "4", seed=seed)
            wobble = 0.01 * seed
            put(store, cell, right, flatness(1 + place + wobble, 20 - place + wobble))
    return store
