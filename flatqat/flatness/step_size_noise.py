"""Rescaling: the rise of the loss when every entry is multiplied by a number near 1."""

from collections.abc import Iterator, Sequence

import torch

from flatqat.flatness.loss_increase import LossIncrease, mean_loss_increase
from flatqat.flatness.params import LossFn, Params, Progress, gaussian, moved


def step_size_noise(
    losses: Sequence[LossFn],
    params: Params,
    *,
    size: float,
    draws: int = 20,
    seed: int = 0,
    progress: Progress | None = None,
) -> LossIncrease:
    """E[L(s (1 + d)) - L(s)] with d ~ N(0, size^2) for every entry of `params`, each on its own.

    Meant for step sizes: a relative error of a step size moves all weights, or inputs, of its grid together.
    Every draw is taken with both signs, see `mean_loss_increase`. On a quadratic with Hessian H the expectation is
    0.5 size^2 sum_i H_ii s_i^2. Raises FloatingPointError when a loss is not finite.
    """
    if size < 0:
        raise ValueError(f"expected size >= 0, got {size}")
    generator = torch.Generator().manual_seed(seed)

    def moves() -> Iterator[tuple[Params, Params]]:
        while True:
            noise = gaussian(params, generator)
            step = {name: noise[name] * value.detach() for name, value in params.items()}
            yield moved(params, step, size), moved(params, step, -size)

    return mean_loss_increase(losses, params, moves(), radius=size, draws=draws, progress=progress)
