"""Flips: the rise of the loss when some weights move by one code, staying on the grid.

Unlike every other measure here it never leaves what can be deployed, and needs no surrogate.
"""

from collections.abc import Iterator, Sequence

import torch

from flatqat.flatness.loss_increase import LossIncrease, mean_loss_increase
from flatqat.flatness.params import LossFn, Params, Progress


def code_flips(
    losses: Sequence[LossFn],
    params: Params,
    lower: Params,
    upper: Params,
    *,
    fraction: float,
    draws: int = 20,
    seed: int = 0,
    progress: Progress | None = None,
) -> LossIncrease:
    """E[L(w + d) - L(w)], d moving each weight with probability `fraction` to its neighbour on the grid.

    `lower` and `upper` are the neighbours of the tensors that move, elementwise: w itself at an end of the
    grid, where the move is clipped. Up and down are as likely; every draw is taken with both signs, see
    `mean_loss_increase`. With steps of size s and no ends the expectation on a quadratic is
    0.5 fraction sum_i H_ii s_i^2. Raises FloatingPointError when a loss is not finite.
    """
    if not 0 < fraction <= 1:
        raise ValueError(f"expected a fraction above 0 and up to 1, got {fraction}")
    if not lower or lower.keys() != upper.keys():
        raise ValueError(f"expected neighbours of the same tensors, got {sorted(lower)} and {sorted(upper)}")
    for name in lower:
        if not bool(((lower[name] <= params[name]) & (params[name] <= upper[name])).all()):
            raise ValueError(f"{name}: expected lower <= weight <= upper, got neighbours on one side")
    generator = torch.Generator().manual_seed(seed)

    def moves() -> Iterator[tuple[Params, Params]]:
        while True:
            up, down = dict(params), dict(params)
            for name in sorted(lower):
                w = params[name].detach()
                drawn = torch.rand(w.shape, generator=generator).to(w.device)
                rises, falls = drawn < fraction / 2, (drawn >= fraction / 2) & (drawn < fraction)
                up[name] = torch.where(rises, upper[name], torch.where(falls, lower[name], w))
                down[name] = torch.where(rises, lower[name], torch.where(falls, upper[name], w))
            yield up, down

    return mean_loss_increase(losses, params, moves(), radius=fraction, draws=draws, progress=progress)
