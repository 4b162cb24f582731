"""GSAM, surrogate gap guided SAM: the step of SAM, corrected to also reduce L(w + e) − L(w).

    g' = ∇L(w + e) with SAM's e;   g⊥ = g − (g · g' / ‖g'‖²) g';   step at w with g' − α · g⊥

This lowers L(w + e) as SAM does, and the surrogate gap without raising L(w + e). The radius follows the
learning rate, from `rho` at its peak to `rho_min` at zero. The decomposition treats all trained parameters,
step sizes included, as one vector. Everything else is as in `sam`.

Source: Zhuang et al. 2022 (ICLR, arXiv 2203.08065), algorithm 1; the defaults are its values for ResNet-50.
"""

from dataclasses import dataclass
from typing import Annotated

import torch

from flatqat.methods import sam
from flatqat.methods.perturb import EPS, Tensors, gradients, norm, scaled
from flatqat.methods.settings import AtLeast, Between


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(sam.Config):
    """The settings of `gsam`."""

    rho: float = 0.04
    rho_min: Annotated[float, Between(0, "rho")] = 0.02
    alpha: Annotated[float, AtLeast(0)] = 0.01


class GSAM(sam.SAM):
    """Surrogate gap guided sharpness-aware minimization (Zhuang et al. 2022)."""

    Config = Config

    @property
    def radius(self) -> float:
        """The radius of the next step, between `rho_min` and `rho`."""
        low, high = self.config.rho_min, self.config.rho
        return float(low + (high - low) * self.schedule)

    @torch.no_grad()
    def combine(self, first: Tensors) -> None:
        """Write g' − α · g⊥ to `.grad`."""
        second = gradients(self.model)
        of_second, of_first = list(second.values()), [first[name] for name in second]
        dot = torch.stack([product.sum() for product in torch._foreach_mul(of_first, of_second)]).sum()
        parallel = scaled(second, dot / (norm(second) + EPS).square())
        orthogonal = torch._foreach_sub(of_first, list(parallel.values()))
        torch._foreach_mul_(orthogonal, self.config.alpha)
        torch._foreach_sub_(of_second, orthogonal)


METHOD = GSAM
