"""Methods against a baseline: differences in accuracy over seeds and images, their intervals and p-values."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from flatqat.bench.records.paired import differences, ood_shifts, shares_by_seed
from flatqat.metrics.contributions import Weights, equal_weights, gap_weights
from flatqat.metrics.estimate import Estimate
from flatqat.metrics.holm import holm
from flatqat.metrics.stacked import Stacked
from flatqat.spec import Record

ID, OOD, GAP = "ID", "OOD", "gap"
MAIN = (ID, OOD, GAP)
LEVEL = 0.05  # of p after Holm's correction, below which something is decided


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodRuns:
    """The runs of one method at one bit-width, by seed, and by shift which images they get right."""

    method: str
    records: Mapping[int, Record]
    right: Mapping[int, Stacked]

    def value(self, seed: int, weights: Weights) -> float:
        """Return sum_k weights[k] top1_k of one run, in points."""
        scores = self.records[seed].scores
        values = {shift: scores[shift]["top1"].value or 0.0 for shift in weights}
        points = math.fsum(weight * values[shift] for shift, weight in weights.items())
        return round(points, 9)  # or equal accuracies would differ by rounding, and have different ranks

    def half(self, seed: int, weights: Weights, which: int) -> float:
        """Return `value` on every other image, from the first or, with `which` 1, the second."""
        right = self.right[seed]
        values = (100 * weight * float(right[shift][which::2].mean()) for shift, weight in weights.items())
        return round(math.fsum(values), 9)

    def mean(self, weights: Weights) -> float:
        """Return the mean of `value` over seeds."""
        return float(np.mean([self.value(seed, weights) for seed in self.records]))

    def seed_sd(self, weights: Weights) -> float | None:
        """Return the standard deviation of `value` over seeds, or None with one."""
        values = [self.value(seed, weights) for seed in self.records]
        return float(np.std(values, ddof=1)) if len(values) > 1 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The difference of a method and the baseline in one quantity, in points, over the seeds of both.

    `p` is after Holm's correction over all comparisons of the table. A method that lacks a seed of the
    baseline's has none, nor has the reference, nor anything with one seed: that is one run of each.
    """

    method: str
    what: str
    estimate: Estimate
    p: float | None

    def is_sure(self) -> bool:
        """Whether the difference is significant."""
        return self.p is not None and self.p < LEVEL


def quantities(record: Record) -> dict[str, Weights]:
    """Return ID, OOD, their gap and the mean of each family, as weights of the accuracies of the shifts.

    A family that is all of OOD is left out: its p, corrected in another table, would not be that of OOD.
    """
    shifts = ood_shifts(record)
    families: dict[str, list[str]] = {}
    for shift in shifts:
        families.setdefault(record.protocol.shifts[shift].family, []).append(shift)
    share = equal_weights(shifts)
    return {
        ID: {"id": 1.0},
        OOD: share,
        GAP: gap_weights(shifts),
        **{name: equal_weights(members) for name, members in families.items() if members != shifts},
    }


def comparisons(
    methods: Sequence[MethodRuns], reference: MethodRuns | None, weights: Mapping[str, Weights]
) -> list[Comparison]:
    """Return each method minus the first, the baseline, in the quantities in `weights`.

    The reference is compared by its own scatter over seeds, the methods by one that is pooled if it may be.
    """
    baseline = methods[0]
    found = {(method, what): e for what, w in weights.items() for method, e in _against(methods, w).items()}
    whole = {runs.method for runs in methods if runs.records.keys() >= baseline.records.keys()}
    tested = [key for key, estimate in found.items() if key[0] in whole and estimate.seeds > 1]
    adjusted = dict(zip(tested, holm([found[key].p for key in tested]), strict=True))
    if reference:
        found |= {
            (reference.method, what): e
            for what, w in weights.items()
            for e in _against([baseline, reference], w).values()
        }
    return [
        Comparison(method=method, what=what, estimate=estimate, p=adjusted.get((method, what)))
        for (method, what), estimate in found.items()
    ]


def _against(methods: Sequence[MethodRuns], weights: Weights) -> dict[str, Estimate]:
    """Return each method minus the first, by name."""
    record = next(iter(methods[0].records.values()))
    shares = {runs.method: shares_by_seed(record, runs.right, weights) for runs in methods}
    found = differences([shares], methods[0].method)
    return {str(name): estimate for name, estimate in found.items()}
