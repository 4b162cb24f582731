"""The mean increase of a loss under random perturbations, each used with both signs."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from flatqat.flatness.derivatives import loss_values, mean_difference
from flatqat.flatness.params import LossFn, Params, Progress

Pair = tuple[Params, Params]
DrawPair = Callable[[], Pair]


@dataclass(frozen=True, slots=True, kw_only=True)
class LossIncrease:
    """An increase of the loss under perturbation, in units of the loss.

    `loss` is L(w) itself, because an undertrained network looks flat. `radius` is the perturbation's size in
    the unit of the estimator. `stderr` is the standard error over `draws`, None if nothing is random.
    """

    value: float
    loss: float
    radius: float
    draws: int = 1
    stderr: float | None = None


def mean_loss_increase(
    losses: Sequence[LossFn], params: Params, pair: DrawPair, *, radius: float, draws: int, progress: Progress
) -> LossIncrease:
    """Return the mean of L - L(params) over `draws` antithetic pairs of points, w + d and w - d, from `pair`.

    In a pair the slope g.d cancels. It is of first order in d, and away from a minimum would hide the
    curvature, which is of second order. A pair is one sample of the standard error. Cost: 2 draws + 1
    evaluations. Raises FloatingPointError if a loss is not finite, and ValueError if `draws` < 2.
    """
    if draws < 2:
        raise ValueError(f"expected draws >= 2, got {draws}")
    base = loss_values(losses, params)
    increases = []
    for done in range(1, draws + 1):
        increases.append(fmean(mean_difference(loss_values(losses, point), base) for point in pair()))
        progress(done, draws)
    value, stderr = fmean(increases), stdev(increases) / math.sqrt(draws)
    return LossIncrease(value=value, loss=fmean(base), radius=radius, draws=draws, stderr=stderr)
