"""Lookahead: every k steps, slow weights φ move towards the fast weights, which continue from φ.

    every k steps:   φ ← φ + α (θ − φ),   θ ← φ

θ are the fast weights, updated by the optimizer, whose momentum is not reset. Everything that is trained has
slow values: weights (latent), biases, BatchNorm's γ and β, step sizes. The slow weights are deployed; a last
round of fewer than k steps also moves them. This is EASGD with one worker and a hard reset, like `anchor`.

Source: Zhang et al. 2019 (arXiv 1907.08610), algorithm 1. Its authors' code has α = 0.8 by default.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from torch import Tensor

from flatqat.methods.average import Average
from flatqat.methods.base import Batch, Calibration, Method
from flatqat.methods.settings import AtLeast, Between


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(Calibration):
    """The settings of `lookahead`."""

    k: Annotated[int, AtLeast(1)] = 5
    alpha: Annotated[float, Between(0, 1)] = 0.5


class Lookahead(Method):
    """Quantization-aware training with the Lookahead optimizer (Zhang et al. 2019)."""

    Config = Config

    def begin(self, batches: Sequence[Batch]) -> None:
        """Calibrate the grids and copy the slow weights."""
        super().begin(batches)
        self.slow = Average(self.model)

    def step(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        """Take a QAT step; every k steps synchronize slow and fast weights."""
        logs = super().step(x, y)
        if self.steps_done % self.config.k == 0:
            self.slow.move_(self.config.alpha)
            self.slow.deploy_()
        return logs

    def end(self, batches: Sequence[Batch]) -> None:
        """Deploy the slow weights after a last move."""
        last = Average(self.model)
        last.join_(self.slow, 1 - self.config.alpha)
        last.deploy_()
        super().end(batches)


METHOD = Lookahead
