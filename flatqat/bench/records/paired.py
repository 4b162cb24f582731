"""What a method loses under shift beyond the reference, from the outcomes stored of both, image by image."""

from collections.abc import Iterable, Mapping, Sequence

from flatqat.bench.records.store import Arrays, Store
from flatqat.errors import StoreError
from flatqat.metrics.bootstrap import Interval
from flatqat.metrics.metric import METRICS, Metric
from flatqat.spec import Record

Pairs = tuple[list[Arrays], list[Arrays], dict[str, str]]
BySeed = Mapping[int, Arrays]
"""The outcomes of one method's runs."""


def metric_of(record: Record) -> Metric:
    """The metric of a record's suite."""
    return METRICS[record.protocol.get("metric", "top1")]


def ood_shifts(record: Record) -> list[str]:
    """The shifts that make up the headline mean."""
    return [name for name, about in record.protocol["shifts"].items() if about["in_mean"] and name != "id"]


def pools_of(record: Record, shifts: Iterable[str]) -> dict[str, str]:
    """The pool of images of each of these shifts."""
    return {shift: str(record.protocol["shifts"][shift]["image_set"]) for shift in shifts}


def outcomes_of(record: Record, store: Store) -> Arrays:
    """The outcome of each shift, as the metric's `Measure` has it; empty where none are stored."""
    measure = metric_of(record)
    by_shift: dict[str, Arrays] = {}
    for key, array in store.outcomes(record.cell, measure.needs).items():
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


def outcomes_by_seed(records: Sequence[Record], store: Store) -> BySeed:
    """Of records that differ in the seed alone."""
    return {record.cell.seed: outcomes_of(record, store) for record in records}


def extra_gap_of(record: Record, outcomes: BySeed, reference: BySeed) -> Interval | None:
    """Of the runs of a method, `record` one of them, against the reference's runs of the same seeds.

    Nothing for the reference itself.
    """
    return _extra_gap([_pairs(record, outcomes, reference)], record)


def mean_extra_gap_of(
    members: Sequence[tuple[Sequence[Record], Sequence[Record]]], store: Store
) -> Interval | None:
    """The mean over several (records, reference), with the seeds that all of these have."""
    seeds = set.intersection(*({r.cell.seed for r in part} for member in members for part in member))
    first = members[0][0][0]
    if not seeds or first.protocol["reference"]:
        return None
    found = []
    for member in members:
        own, base = (outcomes_by_seed([r for r in part if r.cell.seed in seeds], store) for part in member)
        found.append(_pairs(member[0][0], own, base))
    return _extra_gap(found, first)


def is_nested(record: Record) -> bool:
    """Whether every seed has images of its own."""
    return bool(record.protocol.get("split"))


def _extra_gap(found: Sequence[Pairs | None], record: Record) -> Interval | None:
    """Of a suite like that of `record`; nothing where a member is missing."""
    whole = [pairs for pairs in found if pairs]
    if len(whole) < len(found):
        return None
    return metric_of(record).mean_extra_gap(whole, nested=is_nested(record))


def _pairs(record: Record, outcomes: BySeed, reference: BySeed) -> Pairs | None:
    """The outcomes of a method and of the reference, seed by seed, and the pools of the shifts compared."""
    both = [(own, reference[seed]) for seed, own in outcomes.items() if seed in reference]
    if record.protocol["reference"] or not both or not all(own and base for own, base in both):
        return None
    pools = pools_of(record, ["id", *ood_shifts(record)])
    return [own for own, _ in both], [base for _, base in both], pools
