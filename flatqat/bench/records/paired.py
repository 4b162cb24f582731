"""What a method loses under shift beyond the reference, from the stored outcomes of both, image by image."""

from collections.abc import Iterable, Mapping, Sequence

from flatqat.bench.records.files import Arrays
from flatqat.bench.records.store import Store
from flatqat.errors import StoreError
from flatqat.metrics.bootstrap import Interval
from flatqat.metrics.metric import METRICS, Metric, Outcome
from flatqat.spec import Record

Pairs = tuple[list[Arrays], list[Arrays], dict[str, str]]
TOLERANCE = 1e-6  # percent, between a score and the same score of its outcomes
BySeed = Mapping[int, Arrays]
"""The outcomes of one method's runs."""


def metric_of(record: Record) -> Metric:
    """Return the metric of a record's suite."""
    return METRICS[record.protocol.metric]


def ood_shifts(record: Record) -> list[str]:
    """Return the shifts that the mean over shifts is of."""
    return [name for name, shift in record.protocol.shifts.items() if shift.in_mean and name != "id"]


def image_sets_of(record: Record, shifts: Iterable[str]) -> dict[str, str]:
    """Return the image set of each of these shifts."""
    return {shift: record.protocol.shifts[shift].image_set for shift in shifts}


def outcomes_of(record: Record, store: Store) -> Arrays:
    """Return the outcome of each shift, see `Metric.outcome`; empty if none are stored.

    Raises StoreError if the file is damaged, or if the scores of the record are not those of its images.
    """
    metric = metric_of(record)
    by_shift: dict[str, Arrays] = {}
    for key, array in store.outcomes(record.cell, metric.needs, record.outcomes_sha256).items():
        shift, _, name = key.rpartition(":")
        by_shift.setdefault(shift, {})[name] = array
    usable = {shift: arrays for shift, arrays in by_shift.items() if set(metric.needs) <= set(arrays)}
    expected = {shift: scores[metric.name].n for shift, scores in record.scores.items()}
    try:
        outcomes = {shift: metric.outcome(arrays) for shift, arrays in usable.items()}
        if outcomes and {shift: len(images) for shift, images in outcomes.items()} != expected:
            raise ValueError("expected as many images as its record")
        for shift, images in outcomes.items():
            value, score = _value(images), record.scores[shift][metric.name].value
            if value != score and (value is None or score is None or abs(value - score) > TOLERANCE):
                raise ValueError(f"expected the outcomes of its record, {score} on {shift}, got {value}")
    except ValueError as error:
        path = store.outcomes_path(record.cell)
        raise StoreError(f"{path}: {error}; delete it and run the cell again") from error
    return outcomes


def outcomes_by_seed(records: Sequence[Record], store: Store) -> BySeed:
    """Return the outcomes of records that differ in nothing but the seed."""
    return {record.cell.seed: outcomes_of(record, store) for record in records}


def extra_gap_of(record: Record, outcomes: BySeed, reference: BySeed) -> Interval | None:
    """Return the extra gap of a method's runs, `record` one of them, over the reference's of the same seeds.

    None for the reference itself.
    """
    return _extra_gap([_pairs(record, outcomes, reference)], record)


def mean_extra_gap_of(
    members: Sequence[tuple[Sequence[Record], Sequence[Record]]], store: Store
) -> Interval | None:
    """Return the mean extra gap over several (records, reference), with the seeds that all of these have."""
    seeds = set.intersection(*({r.cell.seed for r in part} for member in members for part in member))
    first = members[0][0][0]
    if not seeds or first.protocol.reference:
        return None
    pairs = []
    for member in members:
        own, base = (outcomes_by_seed([r for r in part if r.cell.seed in seeds], store) for part in member)
        pairs.append(_pairs(member[0][0], own, base))
    return _extra_gap(pairs, first)


def is_nested(record: Record) -> bool:
    """Whether every seed has images of its own."""
    return bool(record.protocol.split)


def _value(outcome: Outcome) -> float | None:
    """Return the metric of an outcome in percent, or None if it is undefined."""
    if outcome.ndim == 1:
        return 100 * float(outcome.mean())
    intersections, unions = outcome.sum(axis=0)
    present = unions > 0
    return 100 * float((intersections[present] / unions[present]).mean()) if present.any() else None


def _extra_gap(members: Sequence[Pairs | None], record: Record) -> Interval | None:
    """Return the extra gap over members of the suite of `record`, or None if one of them has no pairs."""
    complete = [pairs for pairs in members if pairs]
    if len(complete) < len(members):
        return None
    return metric_of(record).mean_extra_gap(complete, nested=is_nested(record))


def _pairs(record: Record, outcomes: BySeed, reference: BySeed) -> Pairs | None:
    """Return the outcomes of a method and of the reference, seed by seed, and the shifts' image sets."""
    both = [(own, reference[seed]) for seed, own in outcomes.items() if seed in reference]
    if record.protocol.reference or not both or not all(own and base for own, base in both):
        return None
    image_sets = image_sets_of(record, ["id", *ood_shifts(record)])
    return [own for own, _ in both], [base for _, base in both], image_sets
