"""The mean rise of a loss over random moves, each taken with both signs."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from flatqat.flatness.derivatives import loss_values, mean_difference
from flatqat.flatness.params import LossFn, Params, Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class LossIncrease:
    """A rise of the loss, in units of loss.

    `loss` is L(w) itself: an under-trained network looks flat. `radius` is the size of the perturbation, in
    the estimator's own unit. `stderr` is the standard error over `draws`, None where nothing is drawn.
    """

    value: float
    loss: float
    radius: float
    draws: int = 1
    stderr: float | None = None


def mean_loss_increase(
    losses: Sequence[LossFn],
    params: Params,
    moves: Iterator[tuple[Params, Params]],
    *,
    radius: float,
    draws: int,
    progress: Progress | None,
) -> LossIncrease:
    """Mean of L - L(params) over `draws` pairs of points, a move and its opposite: 2 draws + 1 evaluations.

    In a pair the slope g.d cancels, which is of first order in the size of the move, while the curvature
    wanted is of second, and would drown in it away from a minimum. A pair is one sample of the standard
    error. Raises FloatingPointError when a loss is not finite.
    """
    if draws < 2:
        raise ValueError(f"expected draws >= 2, got {draws}")
    base = loss_values(losses, params)
    rises = []
    for done in range(1, draws + 1):
        pair = [mean_difference(loss_values(losses, point), base) for point in next(moves)]
        rises.append(fmean(pair))
        if progress is not None:
            progress(done, draws)
    return LossIncrease(
        value=fmean(rises),
        loss=fmean(base),
        radius=radius,
        draws=draws,
        stderr=stdev(rises) / math.sqrt(draws),
    )
