"""Worst-case sharpness by auto-PGD: the largest loss increase that ascent finds in a ball of weights."""

from collections.abc import Callable, Sequence
from functools import partial
from statistics import fmean
from typing import Literal, NamedTuple

import torch
from torch import Generator, Tensor

from flatqat.flatness.derivatives import loss_values, mean_difference, values_and_gradient
from flatqat.flatness.filters import filter_norms, with_filters
from flatqat.flatness.loss_increase import LossIncrease
from flatqat.flatness.params import LossFn, Params, Progress, flatten, no_progress, unflatten

Ball = Literal["plain", "elementwise", "filter"]
Norms = Callable[[Tensor], Tensor]

MOMENTUM = 0.75
MIN_ASCENDING = 0.75  # with a smaller share of ascending steps, the step size is halved


class _Point(NamedTuple):
    """A displacement in units of the ball, and the loss and its gradient there."""

    x: Tensor
    value: float
    gradient: Tensor


def worst_case_sharpness(
    losses: Sequence[LossFn],
    params: Params,
    *,
    radius: float,
    ball: Ball = "plain",
    iterations: int = 20,
    seed: int = 0,
    progress: Progress = no_progress,
) -> LossIncrease:
    """Return the maximum of L(w + d) - L(w) over a ball of d, by projected ascent along the unit gradient.

    The ball is one of:

    - `plain`: ||d|| <= radius in units of weight, as in SAM.
    - `elementwise`: ||d / |w||| <= radius, as in ASAM. Zero weights stay fixed.
    - `filter`: ||d_f|| <= radius ||w_f|| for every filter, where `average_case_sharpness` has
      ||d_f|| = radius ||w_f||. Zero filters and tensors without filters stay fixed.

    With x = d / c, where c is 1, |w| or ||w_f||, these are Euclidean balls, one for all weights or one per
    filter, and u is the gradient in x, scaled to unit length in each ball.

    Auto-PGD iterates z = P(x + step u), x' = P(x + 0.75 (z - x) + 0.25 (x - x_previous)), with step =
    2 radius at first. If at a checkpoint fewer than three of four steps have increased the loss, or neither
    the step nor the maximum has changed since the previous checkpoint, the step is halved and the ascent
    continues from the best point. It starts at the center, so the first point is that of one SAM or ASAM
    step, and the result is never below it. If the gradient is exactly zero, a random direction is used.

    The value is a lower bound of the true maximum and at least 0. There is one d for all examples; a mean of
    separate maxima per batch is larger. Cost: `iterations` + 1 gradients and two evaluations. Raises
    FloatingPointError if a loss or gradient is not finite, and ValueError if the radius is negative,
    `iterations` < 1 or a ball of filters has no filter.

    Source: Croce & Hein 2020 (arXiv 2003.01690), algorithm 1; Andriushchenko et al. 2023 (arXiv 2302.07011).
    """
    if radius < 0 or iterations < 1:
        raise ValueError(f"expected radius >= 0 and iterations >= 1, got {radius} and {iterations}")
    center, norms = flatten(params), _norm
    scale = center.abs() if ball == "elementwise" else torch.ones_like(center)
    if ball == "filter":
        with_filters(params)  # raises if there are none
        scale, norms = flatten(_filter_norms(params)), partial(_norms_by_filter, like=params)
    generator = torch.Generator().manual_seed(seed)

    def at(x: Tensor) -> _Point:
        values, gradient = values_and_gradient(losses, unflatten(center + scale * x, params))
        return _Point(x, fmean(values), flatten(gradient) * scale)

    here = previous = best = at(torch.zeros_like(center))
    step = checkpoint_step = 2 * radius
    checkpoint_best, checkpoint, ascending = best.value, 0, 0
    all_checkpoints = checkpoints(iterations)
    for done in range(1, iterations + 1):
        target = _project(here.x + step * _unit(here.gradient, scale, norms, generator), norms, radius)
        share = MOMENTUM if done > 1 else 1.0
        proposal = here.x + share * (target - here.x) + (1 - share) * (here.x - previous.x)
        previous, here = here, at(_project(proposal, norms, radius))
        ascending += here.value > previous.value
        if here.value > best.value:
            best = here
        if done in all_checkpoints:
            stuck = step == checkpoint_step and best.value == checkpoint_best
            checkpoint_step, checkpoint_best = step, best.value
            if stuck or ascending < MIN_ASCENDING * (done - checkpoint):
                step /= 2
                here = best
            checkpoint, ascending = done, 0
        progress(done, iterations)
    # Both without a graph: values with and without one may round differently.
    base, top = loss_values(losses, params), loss_values(losses, unflatten(center + scale * best.x, params))
    return LossIncrease(value=mean_difference(top, base), loss=fmean(base), radius=radius)


def checkpoints(iterations: int) -> list[int]:
    """Return the iterations at which the step size may be halved.

    They are ceil(p_j iterations) with p_0 = 0, p_1 = 0.22, p_j+1 = p_j + max(p_j - p_j-1 - 0.03, 0.06) <= 1.
    """
    percent, gap, steps = 22, 22, []
    while percent <= 100:
        steps.append(-(-percent * iterations // 100))
        gap = max(gap - 3, 6)
        percent += gap
    return steps


def _norm(x: Tensor) -> Tensor:
    """Return ||x|| in float64, where squares of small float32 gradients do not underflow."""
    norm: Tensor = torch.linalg.vector_norm(x, dtype=torch.float64)
    return norm


def _filter_norms(params: Params) -> Params:
    """Return for each entry the norm of its filter, or 0 if it has none."""
    return {
        name: filter_norms(part).expand_as(part) if part.dim() >= 2 else torch.zeros_like(part)
        for name, part in params.items()
    }


def _norms_by_filter(x: Tensor, like: Params) -> Tensor:
    return flatten(_filter_norms({name: part.double() for name, part in unflatten(x, like).items()}))


def _unit(gradient: Tensor, scale: Tensor, norms: Norms, generator: Generator) -> Tensor:
    """Return `gradient` at length 1 in each ball, or a random direction where it is zero and can move."""
    norm = norms(gradient)
    undirected = (norm == 0) & (scale > 0)
    if bool(undirected.any()):
        random = torch.randn(gradient.shape, generator=generator, dtype=torch.float32).to(gradient)
        gradient = torch.where(undirected, random, gradient)
        norm = norms(gradient)
    return (gradient / norm.clamp_min(torch.finfo(gradient.dtype).tiny)).to(gradient)


def _project(x: Tensor, norms: Norms, radius: float) -> Tensor:
    norm = norms(x)
    return torch.where(norm > radius, x * (radius / norm), x).to(x)
