"""The gate's statistics: what changed between two groups of training runs, and what trips the gate.

A drop trips if it is larger than the tolerance, and significant after Holm's correction over all rows of the
check. The power of that is stated with each row.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite

import numpy as np

from flatqat.bench.gate.power import catches, spread_of_shares
from flatqat.bench.gate.shift_groups import By, shift_groups
from flatqat.errors import UsageError
from flatqat.metrics.change import change
from flatqat.metrics.contributions import by_image_set, equal_weights, shares
from flatqat.metrics.estimate import Estimate
from flatqat.metrics.holm import holm
from flatqat.metrics.stacked import Stacked, together
from flatqat.spec import ShiftInfo

BySeed = Mapping[int, Stacked]
"""For every seed the metric's value of each image by shift."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """When the gate trips.

    Attributes:
        max_drop: The tolerated drop in points.
        p: The level of significance, after Holm's correction.
        two_sided: Whether improvements trip it, too.
        retraining_sd: The standard deviation in points that another training is taken to have, where neither
            side has several seeds to estimate it from.
        evaluation_only: Whether both sides evaluate the same weights, so that images alone are random.
    """

    max_drop: float = 0.5
    p: float = 0.01
    two_sided: bool = False
    retraining_sd: float = 0.75
    evaluation_only: bool = False

    def __post_init__(self) -> None:
        for name in ("max_drop", "p", "retraining_sd"):
            if not isfinite(getattr(self, name)):
                option = f"--{name.replace('_', '-')}"
                raise UsageError(f"{option}: expected a finite number, got {getattr(self, name)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One comparison before it is judged, with its own p-value; other fields are those of `Verdict`.

    `identical` says that no image has another value than before; `spread` is the variance from images of a
    drop of one point, None where images are right or wrong.
    """

    cell: str
    what: str
    before: float
    now: float
    seeds_before: int
    seeds_now: int
    estimate: Estimate
    p: float
    identical: bool = False
    spread: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One comparison of the metric in percent: `ok`, `regressed`, `improved`, or `undecided`.

    Attributes:
        cell: The name of the cell.
        what: `id`, `ood` or a family of shifts.
        before: The metric of the baseline, the mean over its seeds.
        now: The metric of the results, the mean over theirs.
        change: What it changed by.
        catches: The true drop that trips the gate with a probability of 80%; None if none can.
        p: The p-value after Holm's correction.
        verdict: The verdict. `undecided` is a drop beyond the tolerance that may be chance; it trips nothing.
        seeds_before: The number of seeds of the baseline.
        seeds_now: The number of seeds of the results.
    """

    cell: str
    what: str
    before: float
    now: float
    change: float
    catches: float | None
    p: float
    verdict: str
    seeds_before: int
    seeds_now: int


def compare(
    cell: str,
    shifts: Mapping[str, ShiftInfo],
    before: BySeed,
    now: BySeed,
    rules: Rules,
    *,
    nested: bool = False,
    whole: bool = True,
    by: By = "family",
) -> list[Row]:
    """Return the rows of a cell: of ID, of the mean over shifts, and of each family or shift, in points.

    Each image contributes to a mean over shifts the mean of its values under them; shifts of other images
    are independent pools. `nested` says that every seed draws its own images, and `whole` that an image is
    right or wrong as a whole. A metric that is not defined is NaN. Raises ValueError if the images of the
    seeds do not fit together.
    """
    if nested and [*before] == [*now] and len(now) == 1:
        nested = False  # the same images on both sides
    stacked, rows = [together([*side.values()]) for side in (before, now)], []
    for what, members in shift_groups(shifts, by):
        sides = [_pools(shifts, members, side) for side in stacked]
        if rules.evaluation_only:
            sides = [_fixed_runs(side, nested) for side in sides]
            estimate = change(*sides)
        else:
            estimate = change(*sides, nested=nested, retraining_sd=rules.retraining_sd)
        means = [float(sum(pool.mean() for pool in side)) for side in sides]
        rows.append(
            Row(
                cell=cell,
                what=what,
                before=means[0],
                now=means[1],
                seeds_before=len(before),
                seeds_now=len(now),
                estimate=estimate,
                p=estimate.p,
                identical=are_identical(before, now, members),
                spread=None if whole else spread_of_shares(sides[0]),
            )
        )
    return rows


def are_identical(before: BySeed, now: BySeed, shifts: Sequence[str]) -> bool:
    """Whether every image has the same value in the same seeds, in all of some shifts."""
    return before.keys() == now.keys() and all(
        np.array_equal(before[seed][shift], now[seed][shift]) for seed in before for shift in shifts
    )


def judge(rows: Sequence[Row], rules: Rules) -> list[Verdict]:
    """Return the verdict on each row of a check."""
    verdicts = []
    p_values = holm([row.p for row in rows]) if rows else []
    for row, p in zip(rows, p_values, strict=True):
        difference = round(row.now - row.before, 9)  # two percentages carry noise in their last digits
        verdicts.append(
            Verdict(
                cell=row.cell,
                what=row.what,
                before=row.before,
                now=row.now,
                seeds_before=row.seeds_before,
                seeds_now=row.seeds_now,
                change=difference,
                catches=catches(
                    row.estimate,
                    max_drop=rules.max_drop,
                    level=rules.p / len(rows),
                    score=row.before,
                    spread=row.spread,
                ),
                p=p,
                verdict=_verdict(difference, p, rules),
            )
        )
    return verdicts


def _verdict(difference: float, p: float, rules: Rules) -> str:
    if abs(difference) <= rules.max_drop:
        return "ok"
    if difference < 0:
        return "regressed" if p < rules.p else "undecided"
    return "improved" if p < rules.p else "ok"


def _pools(shifts: Mapping[str, ShiftInfo], members: Sequence[str], runs: Stacked) -> list[np.ndarray]:
    """Return what each image contributes to the mean over shifts, (seeds, images) for each set of images."""
    image_sets = {shift: shifts[shift].image_set for shift in members}
    weights = equal_weights(members)
    parts = by_image_set(image_sets, weights)
    return [*shares(runs, parts).values()]


def _fixed_runs(pools: Sequence[np.ndarray], nested: bool) -> list[np.ndarray]:
    """Return pools of one run, the mean over given ones: whatever its weights are, they are not random.

    Seeds that draw their own images share most of them, but it is not known which. The error is at most that
    of the same images for all: the mean of the variances of seeds, which are pools of their own here, larger
    by the root of their number.
    """
    if nested:
        rows = [row[None] / len(pool) for pool in pools for row in pool]
        seeds = [len(pool) for pool in pools for _ in pool]
        return [r.mean() + n**0.5 * (r - r.mean()) for r, n in zip(rows, seeds, strict=True)]
    return [pool.mean(axis=0, keepdims=True) for pool in pools]
