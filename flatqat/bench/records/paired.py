"""The outcomes of stored records, and estimates that are made from what each image of them contributes."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from flatqat.bench.records.outcomes import checked
from flatqat.bench.records.store import Store
from flatqat.errors import StoreError
from flatqat.metrics.components import Components, pooled_scatter
from flatqat.metrics.contributions import Shares, Weights, by_image_set, gap_weights, pooled, shares
from flatqat.metrics.estimate import Estimate
from flatqat.metrics.metric import METRICS, Metric
from flatqat.metrics.stacked import Stacked, together
from flatqat.spec import Record

SharesBySeed = Mapping[int, Shares]
"""What the images of one method's runs contribute to a sum over shifts; empty where that is not known."""


def metric_of(record: Record) -> Metric:
    """Return the metric of a record's suite."""
    return METRICS[record.protocol.metric]


def ood_shifts(record: Record) -> list[str]:
    """Return the shifts that the mean over shifts is of."""
    return [name for name, shift in record.protocol.shifts.items() if shift.in_mean and name != "id"]


def mean_weights(record: Record) -> Weights:
    """Return the weights of OOD, the unweighted mean over shifts; none if there is no shift to count."""
    shifts = ood_shifts(record)
    return {shift: 1 / len(shifts) for shift in shifts}


def image_sets_of(record: Record, shifts: Iterable[str]) -> dict[str, str]:
    """Return the image set of each of these shifts."""
    return {shift: record.protocol.shifts[shift].image_set for shift in shifts}


def outcomes_of(record: Record, store: Store) -> Stacked:
    """Return the outcome of each shift, see `Metric.outcome`; empty if none are stored.

    Raises StoreError if the file is damaged, or if the scores of the record are not those of its images.
    """
    try:
        return checked(store.stacks(record.cell, metric_of(record).needs, record.outcomes_sha256), record)
    except ValueError as error:
        path = store.outcomes_path(record.cell)
        raise StoreError(f"{path}: {error}; delete it and run the cell again") from error


def is_nested(record: Record) -> bool:
    """Whether every seed has images of its own."""
    return bool(record.protocol.split)


def shares_by_seed(record: Record, values: Mapping[int, Mapping[str, Any]], weights: Weights) -> SharesBySeed:
    """Return what the images of runs contribute to a weighted sum over shifts, from their values.

    Raises StoreError if shifts of one image set, or the runs, have different numbers of images.
    """
    parts = by_image_set(image_sets_of(record, weights), weights)
    stored = [seed for seed, run in values.items() if run]
    try:
        of_runs = shares(together([values[seed] for seed in stored]), parts) if stored else {}
    except ValueError as error:
        raise StoreError(f"{record.cell.label}: {error}; delete the cell: flatqat results rm") from error
    by_seed = {seed: {n: rows[k] for n, rows in of_runs.items()} for k, seed in enumerate(stored)}
    return {seed: by_seed.get(seed, {}) for seed in values}


@dataclass(frozen=True, slots=True, kw_only=True)
class Runs:
    """The runs of one method, which differ in nothing but the seed.

    Attributes:
        record: The record of any of them.
        outcomes: By seed the outcomes of all images, see `Metric.outcome`; empty where none are stored.
        values: The metric's value of each image, see `Metric.values`.
    """

    record: Record
    outcomes: Mapping[int, Stacked]
    values: Mapping[int, Stacked]

    @classmethod
    def of(cls, records: Sequence[Record], store: Store) -> "Runs":
        """Read the outcomes of records, once. Raises StoreError as `outcomes_of` does."""
        outcomes = {record.cell.seed: outcomes_of(record, store) for record in records}
        values = {seed: run.mapped(metric_of(records[0]).values) for seed, run in outcomes.items()}
        return cls(record=records[0], outcomes=outcomes, values=values)

    def of_seeds(self, seeds: Collection[int]) -> "Runs":
        """Return the runs of some seeds."""
        kept = ({s: run for s, run in runs.items() if s in seeds} for runs in (self.outcomes, self.values))
        return Runs(record=self.record, outcomes=next(kept), values=next(kept))

    def shares(self, weights: Weights) -> SharesBySeed:
        """Return what the images contribute to a weighted sum over shifts."""
        return shares_by_seed(self.record, self.values, weights)

    def components(self, weights: Weights) -> Components | None:
        """Return the components of a weighted sum over shifts, or None as `components_of` does."""
        return components_of([{"": self.shares(weights)}], nested=is_nested(self.record))


def components_of(suites: Sequence[Mapping[Any, SharesBySeed]], *, nested: bool) -> Components | None:
    """Return the components of a sum over shifts, its mean over suites, for all methods in order.

    All suites have the same methods. The seeds are those that all methods have on all suites. None if there
    is none, if shares are missing, if a set has a single image, or where the metric is undefined.
    """
    runs = [by_seed for suite in suites for by_seed in suite.values()]
    seeds = sorted(set.intersection(*(set(by_seed) for by_seed in runs)))
    if not seeds or not all(by_seed[seed] for by_seed in runs for seed in seeds):
        return None
    pools = []
    for suite in suites:
        of_suite = pooled([_of_seeds(by_seed, seeds) for by_seed in suite.values()])
        pools += [pool / len(suites) for pool in of_suite] if len(suites) > 1 else of_suite
    if any(pool.shape[2] < 2 or not np.isfinite(pool).all() for pool in pools):
        return None
    return Components.of(pools, nested=nested)


def _of_seeds(by_seed: SharesBySeed, seeds: Sequence[int]) -> Shares:
    """Return the shares of runs as one array (runs, images) for each image set."""
    return {name: np.stack([by_seed[seed][name] for seed in seeds]) for name in by_seed[seeds[0]]}


def differences(
    suites: Sequence[Mapping[Any, SharesBySeed]], base: Any, *, nested: bool
) -> dict[Any, Estimate]:
    """Return each method minus `base` in a sum over shifts, its mean over suites.

    The scatter over seeds is pooled over the methods that have all seeds of the base. A method that lacks
    some is compared on those it has, by its own scatter; one that shares none has no entry. Runs without
    shares take no part.
    """
    stored = [
        {n: {s: run for s, run in runs.items() if run} for n, runs in suite.items()} for suite in suites
    ]
    seeds = {seed for methods in stored for seed in methods[base]}
    names = [n for n in stored[0] if n != base and all(methods[n] for methods in stored)]
    whole = [n for n in names if all(seeds <= methods[n].keys() for methods in stored)]
    groups = [whole, *([name] for name in names if name not in whole)]
    found: dict[Any, Estimate] = {}
    for group in filter(None, groups if seeds else []):
        parts = [{n: methods[n] for n in (base, *group)} for methods in stored]
        if components := components_of(parts, nested=nested):
            scatter = pooled_scatter(components)
            found |= {n: components.difference(k, 0, scatter) for k, n in enumerate(group, start=1)}
    return found


def extra_gap_weights(record: Record) -> Weights:
    """Return the weights of ID - OOD, where OOD is the unweighted mean over shifts.

    The difference to the full-precision reference is the extra gap: above zero, a method loses more under
    shift.
    """
    return gap_weights(ood_shifts(record))
