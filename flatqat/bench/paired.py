"""What a method loses under shift beyond the reference, from the outcomes stored of both, image by image."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from flatqat.bench.store import Store
from flatqat.errors import StoreError
from flatqat.metrics.bootstrap import Interval
from flatqat.metrics.gaps import extra_gap, mean_extra_gap
from flatqat.spec import Record

Corrects = dict[str, NDArray[np.bool_]]
Pairs = tuple[list[Corrects], list[Corrects], dict[str, str]]


def ood_shifts(record: Record) -> list[str]:
    """The shifts that make up the headline mean."""
    return [name for name, about in record.protocol["shifts"].items() if about["headline"] and name != "id"]


def correct(record: Record, store: Store) -> Corrects:
    """Whether each image of each shift was right; empty where outcomes are not stored."""
    arrays = store.outcomes(record.cell)
    right = {name.removesuffix(":margin"): a > 0 for name, a in arrays.items() if name.endswith(":margin")}
    expected = {shift: metrics["top1"].n for shift, metrics in record.scores.items()}
    if right and {shift: len(images) for shift, images in right.items()} != expected:
        path = store.outcomes_path(record.cell)
        raise StoreError(f"{path}: expected as many images as its record; delete it and run the cell again")
    return right


def extra_gap_of(records: Sequence[Record], reference: Sequence[Record], store: Store) -> Interval | None:
    """Against the reference's records of the same seeds; nothing for the reference itself."""
    found = _pairs(records, reference, store)
    return extra_gap(*found, nested=is_nested(records[0])) if found else None


def mean_extra_gap_of(
    members: Sequence[tuple[Sequence[Record], Sequence[Record]]], store: Store
) -> Interval | None:
    """The mean over several (records, reference), with the seeds that all of these have."""
    seeds = set.intersection(*({r.cell.seed for r in part} for member in members for part in member))
    found = [
        _pairs([r for r in records if r.cell.seed in seeds], reference, store)
        for records, reference in members
        if seeds
    ]
    whole = [pairs for pairs in found if pairs]
    if len(whole) < len(members):
        return None
    return mean_extra_gap(whole, nested=is_nested(members[0][0][0]))


def is_nested(record: Record) -> bool:
    """Whether every seed has images of its own."""
    return bool(record.protocol.get("split"))


def _pairs(records: Sequence[Record], reference: Sequence[Record], store: Store) -> Pairs | None:
    """The outcomes of a method and of the reference, seed by seed, and the pools of the shifts compared."""
    by_seed: Mapping[int, Record] = {r.cell.seed: r for r in reference}
    shared = [(r, by_seed[r.cell.seed]) for r in records if r.cell.seed in by_seed]
    if not shared or records[0].protocol["reference"]:
        return None
    outcomes = [(correct(r, store), correct(base, store)) for r, base in shared]
    if not all(right and base for right, base in outcomes):
        return None
    shifts = ["id", *ood_shifts(records[0])]
    pools = {name: str(records[0].protocol["shifts"][name]["pool"]) for name in shifts}
    return [right for right, _ in outcomes], [base for _, base in outcomes], pools
