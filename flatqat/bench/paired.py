"""What a method loses under shift beyond the reference, from the outcomes stored of both, image by image."""

from collections.abc import Mapping, Sequence

from flatqat.bench.store import Arrays, Store
from flatqat.errors import StoreError
from flatqat.metrics.bootstrap import Interval
from flatqat.metrics.measures import MEASURES, Measure
from flatqat.spec import Record

Pairs = tuple[list[Arrays], list[Arrays], dict[str, str]]


def measure_of(record: Record) -> Measure:
    """The metric of a record's suite."""
    return MEASURES[record.protocol.get("metric", "top1")]


def ood_shifts(record: Record) -> list[str]:
    """The shifts that make up the headline mean."""
    return [name for name, about in record.protocol["shifts"].items() if about["headline"] and name != "id"]


def outcomes_of(record: Record, store: Store) -> Arrays:
    """The outcome of each shift, as the metric's `Measure` has it; empty where none are stored."""
    measure = measure_of(record)
    by_shift: dict[str, Arrays] = {}
    for key, array in store.outcomes(record.cell).items():
        shift, _, name = key.rpartition(":")
        by_shift.setdefault(shift, {})[name] = array
    kept = {shift: arrays for shift, arrays in by_shift.items() if set(measure.needs) <= set(arrays)}
    expected = {shift: metrics[measure.name].n for shift, metrics in record.scores.items()}
    try:
        outcomes = {shift: measure.outcome(arrays) for shift, arrays in kept.items()}
        if outcomes and {shift: len(images) for shift, images in outcomes.items()} != expected:
            raise ValueError("expected as many images as its record")
    except ValueError as error:
        path = store.outcomes_path(record.cell)
        raise StoreError(f"{path}: {error}; delete it and run the cell again") from error
    return outcomes


def extra_gap_of(records: Sequence[Record], reference: Sequence[Record], store: Store) -> Interval | None:
    """Against the reference's records of the same seeds; nothing for the reference itself."""
    return _extra_gap([_pairs(records, reference, store)], records[0])


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
    return _extra_gap(found, members[0][0][0]) if seeds else None


def is_nested(record: Record) -> bool:
    """Whether every seed has images of its own."""
    return bool(record.protocol.get("split"))


def _extra_gap(found: Sequence[Pairs | None], record: Record) -> Interval | None:
    """Of a suite like that of `record`; nothing where a member is missing."""
    whole = [pairs for pairs in found if pairs]
    if len(whole) < len(found):
        return None
    return measure_of(record).mean_extra_gap(whole, nested=is_nested(record))


def _pairs(records: Sequence[Record], reference: Sequence[Record], store: Store) -> Pairs | None:
    """The outcomes of a method and of the reference, seed by seed, and the pools of the shifts compared."""
    by_seed: Mapping[int, Record] = {r.cell.seed: r for r in reference}
    shared = [(r, by_seed[r.cell.seed]) for r in records if r.cell.seed in by_seed]
    if not shared or records[0].protocol["reference"]:
        return None
    outcomes = [(outcomes_of(r, store), outcomes_of(base, store)) for r, base in shared]
    if not all(own and base for own, base in outcomes):
        return None
    shifts = ["id", *ood_shifts(records[0])]
    pools = {name: str(records[0].protocol["shifts"][name]["pool"]) for name in shifts}
    return [own for own, _ in outcomes], [base for _, base in outcomes], pools
