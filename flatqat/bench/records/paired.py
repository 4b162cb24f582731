"""The stored outcomes of all images, checked against their records, and estimates that are made from them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from typing import Any

import numpy as np

from flatqat.bench.records.files import Arrays
from flatqat.bench.records.store import Store
from flatqat.errors import StoreError
from flatqat.metrics.components import Components, pooled_scatter
from flatqat.metrics.contributions import Weights, contributions, gap_weights
from flatqat.metrics.estimate import Estimate
from flatqat.metrics.metric import METRICS, Metric, Outcome
from flatqat.metrics.miou import miou
from flatqat.spec import Record

TOLERANCE = 1e-6  # percent, between a score and the same score of its outcomes
BySeed = Mapping[int, Arrays]
"""The outcomes of one method's runs."""


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


def is_nested(record: Record) -> bool:
    """Whether every seed has images of its own."""
    return bool(record.protocol.split)


def _value(outcome: Outcome) -> float | None:
    """Return the metric of an outcome in percent, or None if it is undefined."""
    value = float(outcome.mean() if outcome.ndim == 1 else miou(outcome.sum(axis=0)))
    return None if isnan(value) else 100 * value


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """The outcomes of several methods on one suite, of which `record` is any record."""

    record: Record
    methods: Mapping[Any, BySeed]


def components_of(suites: Sequence[Scored], weights_of: Callable[[Record], Weights]) -> Components | None:
    """Return the components of a weighted sum over shifts, its mean over suites, for all methods in order.

    All suites have the same methods. The seeds are those that all methods have on all suites. None if there
    is none, if outcomes are missing, if a set has a single image, or where the metric is undefined.
    """
    runs = [by_seed for suite in suites for by_seed in suite.methods.values()]
    seeds = sorted(set.intersection(*(set(by_seed) for by_seed in runs)))
    if not seeds or not all(by_seed[seed] for by_seed in runs for seed in seeds):
        return None
    pools = []
    for suite in suites:
        methods = [[by_seed[seed] for seed in seeds] for by_seed in suite.methods.values()]
        if not (weights := weights_of(suite.record)):
            return None
        image_sets, values = image_sets_of(suite.record, weights), metric_of(suite.record).values
        pools += [pool / len(suites) for pool in contributions(methods, image_sets, weights, values)]
    if any(pool.shape[2] < 2 or not np.isfinite(pool).all() for pool in pools):
        return None
    return Components.of(pools, nested=is_nested(suites[0].record))


def differences(
    suites: Sequence[Scored], base: Any, weights_of: Callable[[Record], Weights]
) -> dict[Any, Estimate]:
    """Return each method minus `base` in a weighted sum over shifts, its mean over suites.

    The scatter over seeds is pooled over the methods that have all seeds of the base. A method that lacks
    some is compared on those it has, by its own scatter; one that shares none has no entry. Runs without
    stored outcomes take no part.
    """
    stored = [{n: {s: run for s, run in runs.items() if run} for n, runs in suite.methods.items()}
              for suite in suites]  # fmt: skip
    seeds = {seed for methods in stored for seed in methods[base]}
    names = [n for n in stored[0] if n != base and all(methods[n] for methods in stored)]
    whole = [n for n in names if all(seeds <= methods[n].keys() for methods in stored)]
    groups = [whole, *([name] for name in names if name not in whole)]
    found: dict[Any, Estimate] = {}
    for group in filter(None, groups if seeds else []):
        parts = [
            Scored(record=suite.record, methods={n: methods[n] for n in (base, *group)})
            for suite, methods in zip(suites, stored, strict=True)
        ]
        if components := components_of(parts, weights_of):
            scatter = pooled_scatter(components)
            found |= {n: components.difference(k, 0, scatter) for k, n in enumerate(group, start=1)}
    return found


def extra_gaps(suites: Sequence[Scored], reference: Any) -> dict[Any, Estimate]:
    """Return (ID_m - OOD_m) - (ID_f - OOD_f) of each method m and the full-precision reference f, in points.

    OOD is the unweighted mean over shifts. Above zero, m loses more under shift than f.
    """
    return differences(suites, reference, lambda record: gap_weights(ood_shifts(record)))
