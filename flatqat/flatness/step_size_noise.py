"""Step-size noise: the increase of the loss if every step size is multiplied by a random number near 1."""

from collections.abc import Sequence

import torch

from flatqat.flatness.loss_increase import LossIncrease, Pair, mean_loss_increase
from flatqat.flatness.params import LossFn, Params, Progress, gaussian, moved, no_progress


def step_size_noise(
    losses: Sequence[LossFn],
    params: Params,
    *,
    size: float,
    draws: int = 20,
    seed: int = 0,
    progress: Progress = no_progress,
) -> LossIncrease:
    """Return E[L(s (1 + d)) - L(s)] with independent d ~ N(0, size^2) for every entry of `params`.

    A relative error of a step size moves all weights, or inputs, of its grid together. Every perturbation is
    used with both signs, see `mean_loss_increase`. On a quadratic with Hessian H the expectation is
    0.5 size^2 sum_i H_ii s_i^2. Raises FloatingPointError if a loss is not finite, and ValueError if `size`
    is negative or `draws` < 2.
    """
    if size < 0:
        raise ValueError(f"expected size >= 0, got {size}")
    generator = torch.Generator().manual_seed(seed)

    def perturbed() -> Pair:
        noise = gaussian(params, generator)
        step = {name: noise[name] * value.detach() for name, value in params.items()}
        return moved(params, step, size), moved(params, step, -size)

    return mean_loss_increase(losses, params, perturbed, radius=size, draws=draws, progress=progress)
