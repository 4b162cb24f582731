"""The outcomes of a cell's images as they are stored, and checked against its record.

A file has for each shift the same arrays, such as the predicted class and the margin of every image. Those of
shifts of equally many images are kept as one array, `<number>/<array>` (shifts, images, ...), beside the
names of the shifts, `<number>/shifts`. Older files have an array for each shift, `<shift>:<array>`.

Where each seed draws its own images, `ids` say which (`ImageData.ids`); older files do not.
"""

from collections.abc import Mapping, Sequence
from math import isnan

import numpy as np

from flatqat.bench.records.files import Arrays
from flatqat.metrics.metric import METRICS, Metric
from flatqat.metrics.miou import miou
from flatqat.metrics.stacked import Stacked
from flatqat.spec import Record

TOLERANCE = 1e-6  # percent, between a score and the same score of its outcomes
NAMES, IDS = "shifts", "ids"


def stack(arrays: Arrays) -> Arrays:
    """Return arrays called `<shift>:<array>` as they are stored."""
    by_shift: dict[str, Arrays] = {}
    for key, array in arrays.items():
        shift, _, name = key.rpartition(":")
        by_shift.setdefault(shift, {})[name] = array
    groups: dict[tuple[object, ...], list[str]] = {}
    for shift, each in by_shift.items():
        alike = tuple((name, array.dtype.str, array.shape) for name, array in each.items())
        groups.setdefault(alike, []).append(shift)
    stacked: Arrays = {}
    for number, shifts in enumerate(groups.values()):
        stacked[f"{number}/{NAMES}"] = np.array(shifts)
        for name in by_shift[shifts[0]]:
            stacked[f"{number}/{name}"] = np.stack([by_shift[shift][name] for shift in shifts])
    return stacked


def stacks(stored: Arrays) -> list[tuple[list[str], Arrays]]:
    """Return stored arrays as groups: the names of the shifts, and arrays (shifts, images, ...) by name.

    Raises ValueError if they do not fit together.
    """
    if any(":" in key for key in stored):
        stored = stack(stored)
    groups: dict[str, Arrays] = {}
    for key, array in stored.items():
        number, _, name = key.partition("/")
        groups.setdefault(number, {})[name] = array
    found = []
    for number, group in groups.items():
        shifts = group.pop(NAMES, np.empty(0)).tolist()
        if any(array.ndim < 2 or len(array) != len(shifts) for array in group.values()):
            got = {name: array.shape for name, array in group.items()}
            raise ValueError(f"group {number}: expected arrays (shifts, images, ...) of {shifts}, got {got}")
        found.append((shifts, group))
    return found


def checked(groups: Sequence[tuple[list[str], Arrays]], record: Record) -> Stacked:
    """Return the outcome of each shift, see `Metric.outcome`, out of stored arrays; empty if there are none.

    Raises ValueError if the scores of the record are not those of its images.
    """
    metric = METRICS[record.protocol.metric]
    outcomes = Stacked(
        [(shifts, _outcome(metric, arrays)) for shifts, arrays in groups if set(metric.needs) <= set(arrays)],
        {s: of for shifts, arrays in groups for s, of in zip(shifts, arrays.get(IDS, ()), strict=False)},
    )
    if outcomes and outcomes.sizes != record.columns.counts_of(metric.name):
        raise ValueError("expected as many images as its record")
    for shift, ids in outcomes.ids.items():
        shape = (outcomes.sizes.get(shift),)
        if ids.dtype.kind != "u" or ids.shape != shape or len(np.unique(ids)) < len(ids):
            raise ValueError(f"expected an id for each image of {shift}, each another one, got others")
    for shifts, stacked in outcomes.stacks:
        scores = record.values(metric.name, shifts)
        for shift, value, score in zip(shifts, _values(stacked), scores, strict=True):
            if value != score and (value is None or score is None or abs(value - score) > TOLERANCE):
                raise ValueError(f"expected the outcomes of its record, {score} on {shift}, got {value}")
    return outcomes


def _outcome(metric: Metric, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return the outcomes of several shifts, (shifts, images, ...)."""
    needed = {name: arrays[name] for name in metric.needs}
    shape = next(iter(needed.values())).shape[:2]
    images = {name: array.reshape(-1, *array.shape[2:]) for name, array in needed.items()}
    outcome = metric.outcome(images)
    return outcome.reshape(*shape, *outcome.shape[1:])


def _values(outcomes: np.ndarray) -> list[float | None]:
    """Return the metric of each shift in percent, None where it is undefined."""
    values = outcomes.mean(axis=1) if outcomes.ndim == 2 else miou(outcomes.sum(axis=1))
    return [None if isnan(value) else 100 * value for value in values.tolist()]
