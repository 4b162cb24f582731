"""Code flips: the increase of the loss if some weights move by one code and stay on the grid.

Every perturbed network can be deployed, so this measure needs no surrogate.
"""

from collections.abc import Sequence

import torch

from flatqat.flatness.loss_increase import LossIncrease, Pair, mean_loss_increase
from flatqat.flatness.params import LossFn, Params, Progress, no_progress


def code_flips(
    losses: Sequence[LossFn],
    params: Params,
    lower: Params,
    upper: Params,
    *,
    fraction: float,
    draws: int = 20,
    seed: int = 0,
    progress: Progress = no_progress,
) -> LossIncrease:
    """Return E[L(w + d) - L(w)], where d moves each weight to a grid neighbor with probability `fraction`.

    `lower` and `upper` are the elementwise neighbors of the tensors that move, and w itself at an end of the
    grid, where the move is clipped. Both directions are equally likely, and every perturbation is used with
    both signs, see `mean_loss_increase`. On a quadratic, with steps of size s and without ends, the
    expectation is 0.5 fraction sum_i H_ii s_i^2. Raises FloatingPointError if a loss is not finite, and
    ValueError if the arguments do not fit together.
    """
    if not 0 < fraction <= 1:
        raise ValueError(f"expected a fraction above 0 and up to 1, got {fraction}")
    if not lower or lower.keys() != upper.keys():
        raise ValueError(f"expected neighbors of the same tensors, got {sorted(lower)} and {sorted(upper)}")
    for name in lower:
        if not bool(((lower[name] <= params[name]) & (params[name] <= upper[name])).all()):
            raise ValueError(f"{name}: expected lower <= weight <= upper, got neighbors on one side")
    generator = torch.Generator().manual_seed(seed)

    def flipped() -> Pair:
        plus, minus = dict(params), dict(params)
        for name in sorted(lower):
            w = params[name].detach()
            uniform = torch.rand(w.shape, generator=generator).to(w.device)
            up, down = uniform < fraction / 2, (uniform >= fraction / 2) & (uniform < fraction)
            plus[name] = torch.where(up, upper[name], torch.where(down, lower[name], w))
            minus[name] = torch.where(up, lower[name], torch.where(down, upper[name], w))
        return plus, minus

    return mean_loss_increase(losses, params, flipped, radius=fraction, draws=draws, progress=progress)
