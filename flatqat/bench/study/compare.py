"""Methods against a baseline: differences in accuracy over seeds and images, their intervals and p-values."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flatqat.bench.records.files import Arrays
from flatqat.bench.records.paired import image_sets_of, is_nested, ood_shifts
from flatqat.metrics.bootstrap import Interval, nested_bootstrap, paired_bootstraps
from flatqat.metrics.extra_gap import contributions
from flatqat.metrics.randomized_blocks import Contrast, contrasts
from flatqat.metrics.significance import holm
from flatqat.spec import Record

ID, OOD, GAP = "ID", "OOD", "gap"
MAIN = (ID, OOD, GAP)
LEVEL = 0.05  # of p after Holm's correction, below which something is decided
Weights = Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Runs:
    """The runs of one method at one bit-width, by seed, and by shift which images they get right."""

    method: str
    records: Mapping[int, Record]
    right: Mapping[int, Arrays]

    def value(self, seed: int, weights: Weights) -> float:
        """Return sum_k weights[k] top1_k of one run, in points."""
        scores = self.records[seed].scores
        values = {shift: scores[shift]["top1"].value or 0.0 for shift in weights}
        points = math.fsum(weight * values[shift] for shift, weight in weights.items())
        return round(points, 9)  # or equal accuracies would differ by rounding, and have different ranks

    def mean(self, weights: Weights) -> float:
        """Return the mean of `value` over seeds."""
        return float(np.mean([self.value(seed, weights) for seed in self.records]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The difference of a method and the baseline in one quantity, in points, over the seeds of both.

    A method that lacks a seed of the baseline's has no test, nor has the reference, whose runs may scatter
    differently. `p` is after Holm's correction over all comparisons of the table.
    """

    method: str
    what: str
    interval: Interval
    contrast: Contrast | None
    p: float | None

    def is_sure(self) -> bool:
        """Whether the difference is significant."""
        return self.p is not None and self.p < LEVEL


def quantities(record: Record) -> dict[str, Weights]:
    """Return ID, OOD, their gap and the mean of each family, as weights of the accuracies of the shifts."""
    shifts = ood_shifts(record)
    families: dict[str, list[str]] = {}
    for shift in shifts:
        families.setdefault(record.protocol.shifts[shift].family, []).append(shift)
    share = {shift: 1 / len(shifts) for shift in shifts}
    return {
        ID: {"id": 1.0},
        OOD: share,
        GAP: {"id": 1.0} | {shift: -weight for shift, weight in share.items()},
        **{name: dict.fromkeys(members, 1 / len(members)) for name, members in families.items()},
    }


def comparisons(
    methods: list[Runs], weights: Mapping[str, Weights], intervals: Mapping[tuple[str, str], Interval]
) -> list[Comparison]:
    """Return the comparisons of the quantities in `weights`, with Holm's correction over all of them."""
    baseline = methods[0]
    complete = [runs for runs in methods if runs.records.keys() >= baseline.records.keys()]
    tested = {
        (method, what): contrast
        for what, weight in weights.items()
        for method, contrast in _contrasts(complete, weight).items()
    }
    adjusted = dict(zip(tested, holm([contrast.p for contrast in tested.values()]), strict=True))
    return [
        Comparison(
            method=key[0], what=key[1], interval=interval, contrast=tested.get(key), p=adjusted.get(key)
        )
        for key, interval in intervals.items()
        if key[1] in weights
    ]


def intervals_of(
    baseline: Runs, others: Sequence[Runs], weights: Mapping[str, Weights]
) -> dict[tuple[str, str], Interval]:
    """Return the bootstrap intervals of each of `others` minus the baseline, by (method, quantity).

    A method that has no seed of the baseline's has none.
    """
    groups: dict[object, dict[tuple[str, str], list[NDArray[Any]]]] = {}
    for runs in others:
        for what, weight in weights.items():
            if matrices := _matrices(runs, baseline, weight):
                shapes = tuple(matrix.shape for matrix in matrices)  # those of the same share their draws
                groups.setdefault(shapes, {})[runs.method, what] = matrices
    nested = is_nested(next(iter(baseline.records.values())))
    intervals: dict[tuple[str, str], Interval] = {}
    for group in groups.values():
        statistics = list(group.values())
        several = [nested_bootstrap(s) for s in statistics] if nested else paired_bootstraps(statistics)
        intervals |= dict(zip(group, several, strict=True))
    return intervals


def _contrasts(methods: list[Runs], weights: Weights) -> dict[str, Contrast]:
    """Return the test of each method against the first, all of whose seeds they have."""
    seeds = list(methods[0].records)
    if len(methods) < 2:
        return {}
    table = np.array([[runs.value(seed, weights) for seed in seeds] for runs in methods])
    variances = [_image_variance(_matrices(runs, methods[0], weights), runs) for runs in methods]
    tested = contrasts(table, 0, variances)
    return {runs.method: contrast for runs, contrast in zip(methods[1:], tested[1:], strict=True)}


def _image_variance(matrices: list[NDArray[np.float64]], runs: Runs) -> float:
    """Return the variance over images of the mean over seeds, summed over image sets.

    It is 0 if every seed has images of its own, since it is part of the scatter of the seeds then.
    """
    if len(runs.records) > 1 and is_nested(next(iter(runs.records.values()))):
        return 0.0
    return math.fsum(float(m.mean(axis=0).var(ddof=1)) / m.shape[1] for m in matrices)


def _matrices(runs: Runs, baseline: Runs, weights: Weights) -> list[NDArray[Any]]:
    """Return the contributions of a difference over the seeds that both have; empty if there are none."""
    seeds = [seed for seed in baseline.records if seed in runs.records]
    if not seeds:
        return []
    own, base = ([method.right[seed] for seed in seeds] for method in (runs, baseline))
    return contributions(own, base, image_sets_of(baseline.records[seeds[0]], weights), weights)
