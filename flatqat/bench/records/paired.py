"""The outcomes of stored records, and estimates that are made from what each image of them contributes."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flatqat.bench.records.outcomes import IDS, checked
from flatqat.bench.records.store import Store
from flatqat.errors import StoreError
from flatqat.metrics.components import Components, pooled_scatter
from flatqat.metrics.contributions import Weights, by_image_set, equal_weights, gap_weights, shares
from flatqat.metrics.estimate import Estimate
from flatqat.metrics.metric import METRICS, Metric
from flatqat.metrics.missing import mean_if_complete, mean_of_known
from flatqat.metrics.parts import Part, apart, drawn
from flatqat.metrics.stacked import NO_IDS, Stacked, together
from flatqat.spec import Record


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Share:
    """What the images of an image set contribute in one run: `values` (images,).

    `ids` (images,) say which images these are, where every seed draws its own; none where that is not stored.
    """

    values: NDArray[np.float64]
    ids: NDArray[Any] | None


SharesBySeed = Mapping[int, Mapping[str, Share]]
"""What the images of one method's runs contribute to a sum over shifts, by image set; empty if unknown."""


def metric_of(record: Record) -> Metric:
    """Return the metric of a record's suite."""
    return METRICS[record.protocol.metric]


def ood_shifts(record: Record) -> list[str]:
    """Return the shifts that the mean over shifts is of."""
    return [name for name, shift in record.protocol.shifts.items() if shift.in_mean and name != "id"]


def seed_mean(records: Sequence[Record], metric: str, shifts: Collection[str]) -> float | None:
    """Return the mean over seeds of the mean over shifts, of those seeds that have the metric on all."""
    return mean_of_known(mean_if_complete(r.values(metric, shifts)) for r in records)


def mean_weights(record: Record) -> Weights:
    """Return the weights of OOD, the unweighted mean over shifts; none if there is no shift to count."""
    return equal_weights(ood_shifts(record))


def image_sets_of(record: Record, shifts: Iterable[str]) -> dict[str, str]:
    """Return the image set of each of these shifts."""
    return {shift: record.protocol.shifts[shift].image_set for shift in shifts}


def outcomes_of(record: Record, store: Store) -> Stacked:
    """Return the outcome of each shift, see `Metric.outcome`; empty if none are stored.

    Raises StoreError if the file is damaged, or if the scores of the record are not those of its images.
    """
    names = [*metric_of(record).needs, *([IDS] if draws_images(record) else [])]
    try:
        return checked(store.stacks(record.cell, names, record.outcomes_sha256), record)
    except ValueError as error:
        path = store.outcomes_path(record.cell)
        raise StoreError(f"{path}: {error}; delete it and run the cell again") from error


def draws_images(record: Record) -> bool:
    """Whether every seed draws its own images, of which it may share most with others."""
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
    found: dict[int, dict[str, Share]] = {seed: {} for seed in values}
    for name, rows in of_runs.items():
        for seed, row in zip(stored, rows, strict=True):
            found[seed][name] = Share(values=row, ids=ids_of(record, values[seed], next(iter(parts[name]))))
    return found


def ids_of(record: Record, run: Mapping[str, Any], shift: str) -> NDArray[Any] | None:
    """Return the ids of the images of a shift, see `Share`."""
    known = run.ids if isinstance(run, Stacked) else NO_IDS
    return known.get(shift, np.empty(0, np.uint8)) if draws_images(record) else None


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

    @property
    def images_known(self) -> bool:
        """Whether it is stored which images these runs have in common with others of their family."""
        return draws_images(self.record) and all(run.ids for run in self.outcomes.values())

    def of_seeds(self, seeds: Collection[int]) -> "Runs":
        """Return the runs of some seeds."""
        kept = ({s: run for s, run in runs.items() if s in seeds} for runs in (self.outcomes, self.values))
        return Runs(record=self.record, outcomes=next(kept), values=next(kept))

    def shares(self, weights: Weights) -> SharesBySeed:
        """Return what the images contribute to a weighted sum over shifts."""
        return shares_by_seed(self.record, self.values, weights)

    def components(self, weights: Weights) -> Components | None:
        """Return the components of a weighted sum over shifts, or None as `components_of` does."""
        return components_of([{"": self.shares(weights)}])


def components_of(suites: Sequence[Mapping[Any, SharesBySeed]]) -> Components | None:
    """Return the components of a sum over shifts, its mean over suites, for all methods in order.

    All suites have the same methods. The seeds are those that all methods have on all suites. None if there
    is none, if shares are missing, if a set has a single image, or where the metric is undefined. Images that
    seeds draw are told by their ids: one of several sets, such as ID of two suites, is one image. Where ids
    are not known, each seed has images of its own in each set.
    """
    runs = [by_seed for suite in suites for by_seed in suite.values()]
    seeds = sorted(set.intersection(*(set(by_seed) for by_seed in runs)))
    if not seeds or not all(by_seed[seed] for by_seed in runs for seed in seeds):
        return None
    pools: list[NDArray[np.float64] | Part] = []
    tables, ids = [], []
    for suite in suites:
        methods = [[by_seed[seed] for seed in seeds] for by_seed in suite.values()]
        for name in methods[0][0]:
            of_set = [[run[name] for run in runs] for runs in methods]
            if not all(_is_defined(share) for runs in of_set for share in runs):
                return None
            table = np.stack([np.stack([share.values for share in runs]) for runs in of_set])
            table /= len(suites)
            if of_set[0][0].ids is None:
                pools.append(table)
            elif known := _ids_of_seeds(of_set):
                tables.append(table)
                ids.append(known)
            else:
                pools.append(apart(table))
    return Components.of([*pools, *([drawn(tables, ids)] if tables else [])])


def _is_defined(share: Share) -> bool:
    """Whether the metric is defined for a set of images, and there are two or more."""
    return len(share.values) > 1 and bool(np.isfinite(share.values).all())


def _ids_of_seeds(methods: Sequence[Sequence[Share]]) -> list[NDArray[Any]] | None:
    """Return the ids (images,) of each seed, or None if those of one are unknown or methods have others."""
    found = []
    for of_seed in zip(*methods, strict=True):
        known = [share.ids for share in of_seed if share.ids is not None and len(share.ids)]
        if not known or any(not np.array_equal(known[0], other) for other in known[1:]):
            return None
        found.append(known[0])
    return found


def differences(suites: Sequence[Mapping[Any, SharesBySeed]], base: Any) -> dict[Any, Estimate]:
    """Return each method minus `base` in a sum over shifts, its mean over suites.

    The scatter over seeds is pooled over the methods that have all seeds of the base. A method that lacks
    some is compared on those it has, by its own scatter; one that shares none has no entry. Runs without
    shares, or where the metric is undefined, take no part.
    """
    stored = [
        {
            n: {s: run for s, run in runs.items() if run and all(map(_is_defined, run.values()))}
            for n, runs in suite.items()
        }
        for suite in suites
    ]
    seeds = {seed for methods in stored for seed in methods[base]}
    names = [n for n in stored[0] if n != base and all(methods[n] for methods in stored)]
    whole = [n for n in names if all(seeds <= methods[n].keys() for methods in stored)]
    groups = [whole, *([name] for name in names if name not in whole)]
    found: dict[Any, Estimate] = {}
    for group in filter(None, groups if seeds else []):
        parts = [{n: methods[n] for n in (base, *group)} for methods in stored]
        if components := components_of(parts):
            scatter = pooled_scatter(components)
            found |= {n: components.difference(k, 0, scatter) for k, n in enumerate(group, start=1)}
    return found


def extra_gap_weights(record: Record) -> Weights:
    """Return the weights of ID - OOD, where OOD is the unweighted mean over shifts.

    The difference to the full-precision reference is the extra gap: above zero, a method loses more under
    shift.
    """
    return gap_weights(ood_shifts(record))
