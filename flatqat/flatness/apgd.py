"""Worst case by auto-PGD: the largest rise of the loss that ascent finds in a ball around the weights."""

from collections.abc import Callable, Sequence
from statistics import fmean
from typing import Literal

import torch
from torch import Generator, Tensor

from flatqat.flatness.derivatives import loss_values, mean_difference, values_and_gradient
from flatqat.flatness.filters import filter_norms, with_filters
from flatqat.flatness.loss_increase import LossIncrease
from flatqat.flatness.params import LossFn, Params, Progress, flatten, unflatten

Ball = Literal["plain", "elementwise", "filter"]
Lengths = Callable[[Tensor], Tensor]

MOMENTUM = 0.75
RISING = 0.75  # the share of steps that must have risen, or the step is halved


def worst_case_sharpness(
    losses: Sequence[LossFn],
    params: Params,
    *,
    radius: float,
    ball: Ball = "plain",
    iterations: int = 20,
    seed: int = 0,
    progress: Progress | None = None,
) -> LossIncrease:
    """max L(w + d) - L(w) over a ball of d, by projected ascent along the unit gradient.

    `plain`: ||d|| <= radius in units of weight, as SAM's. `elementwise`: ||d / |w||| <= radius, as ASAM's;
    zero weights stay. `filter`: ||d_f|| <= radius ||w_f|| for every filter, where `average_case_sharpness` draws
    ||d_f|| = radius ||w_f||; zero filters and tensors without filters stay. With x = d / c, c being 1, |w| or
    ||w_f||, these are Euclidean balls, one for all or one for each filter, and u is the gradient in x at
    unit length in each.

    Auto-PGD: z = P(x + step u), x' = P(x + 0.75 (z - x) + 0.25 (x - x_before)), with step = 2 radius at
    first. At every checkpoint at which fewer than three steps of four have risen, or neither the step nor
    the maximum has changed since the one before, the step is halved and the ascent goes on from the best
    point. It starts from the centre: the first point is that of one SAM or ASAM step, and the result never
    below it. Where the gradient is exactly zero a direction is drawn.

    A lower bound of the true maximum, at least 0. One d for all examples: a mean over batches of their own
    maxima is larger. Costs `iterations` + 1 gradients and two evaluations; `progress(done, most)` is called
    after each step. Raises FloatingPointError when a loss or a gradient is not finite.

    Source: Croce & Hein 2020 (arXiv 2003.01690), algorithm 1; over weights Andriushchenko et al. 2023
    (arXiv 2302.07011).
    """
    if radius < 0 or iterations < 1:
        raise ValueError(f"expected radius >= 0 and iterations >= 1, got {radius} and {iterations}")
    centre, scale = flatten(params), flatten(_scales(params, ball))
    generator = torch.Generator().manual_seed(seed)
    lengths = _filter_lengths(params) if ball == "filter" else _length

    def climb(x: Tensor) -> tuple[float, Tensor]:
        values, slope = values_and_gradient(losses, unflatten(centre + scale * x, params))
        return fmean(values), flatten(slope) * scale

    x = before = best = torch.zeros_like(centre)
    value, slope = climb(x)
    best_value, best_slope = value, slope
    step = step_at_mark = 2 * radius
    best_at_mark, mark, rises = value, 0, 0
    marks = checkpoints(iterations)
    for done in range(1, iterations + 1):
        target = _into_ball(x + step * _unit(slope, scale, lengths, generator), lengths, radius)
        share = MOMENTUM if done > 1 else 1.0
        onward = x + share * (target - x) + (1 - share) * (x - before)
        x, before = _into_ball(onward, lengths, radius), x
        last = value
        value, slope = climb(x)
        rises += value > last
        if value > best_value:
            best, best_value, best_slope = x, value, slope
        if done in marks:
            stuck = step == step_at_mark and best_value == best_at_mark
            step_at_mark, best_at_mark = step, best_value
            if stuck or rises < RISING * (done - mark):
                step /= 2
                x, value, slope = best, best_value, best_slope
            mark, rises = done, 0
        if progress is not None:
            progress(done, iterations)
    # Both without a graph, so that what rounds differently with one cancels.
    base, top = loss_values(losses, params), loss_values(losses, unflatten(centre + scale * best, params))
    return LossIncrease(value=mean_difference(top, base), loss=fmean(base), radius=radius)


def checkpoints(iterations: int) -> list[int]:
    """ceil(p_j iterations): p_0 = 0, p_1 = 0.22, p_j+1 = p_j + max(p_j - p_j-1 - 0.03, 0.06), up to 1."""
    percent, gap, found = 22, 22, []
    while percent <= 100:
        found.append(-(-percent * iterations // 100))
        gap = max(gap - 3, 6)
        percent += gap
    return found


def _scales(params: Params, ball: Ball) -> Params:
    if ball == "plain":
        return {name: torch.ones_like(value) for name, value in params.items()}
    if ball == "elementwise":
        return {name: value.detach().abs() for name, value in params.items()}
    filters = with_filters(params)
    still = {name: torch.zeros_like(value) for name, value in params.items() if name not in filters}
    return {name: filter_norms(weight).expand_as(weight) for name, weight in filters.items()} | still


def _length(x: Tensor) -> Tensor:
    """||x|| in float64, where squares of small float32 gradients do not underflow."""
    length: Tensor = torch.linalg.vector_norm(x, dtype=torch.float64)
    return length


def _filter_lengths(like: Params) -> Lengths:
    """For each entry the norm of its filter; 0 where there is none."""

    def lengths(x: Tensor) -> Tensor:
        parts = {name: part.double() for name, part in unflatten(x, like).items()}
        return flatten(
            {
                name: filter_norms(part).expand_as(part) if part.dim() >= 2 else torch.zeros_like(part)
                for name, part in parts.items()
            }
        )

    return lengths


def _unit(slope: Tensor, scale: Tensor, lengths: Lengths, generator: Generator) -> Tensor:
    """`slope` at length 1 in each ball; where it is zero a drawn direction of what can move there."""
    length = lengths(slope)
    lost = (length == 0) & (scale > 0)
    if bool(lost.any()):
        drawn = torch.randn(slope.shape, generator=generator, dtype=torch.float32).to(slope)
        slope = torch.where(lost, drawn, slope)
        length = lengths(slope)
    return (slope / length.clamp_min(torch.finfo(slope.dtype).tiny)).to(slope)


def _into_ball(x: Tensor, lengths: Lengths, radius: float) -> Tensor:
    length = lengths(x)
    return torch.where(length > radius, x * (radius / length), x).to(x)
