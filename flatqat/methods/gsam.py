"""GSAM, surrogate gap guided SAM: SAM's step, less a part of the gradient that is of no use to it.

    g' = ∇L(w + e) with SAM's e;   g⊥ = g − (g · g' / ‖g'‖²) g';   step at w with g' − α · g⊥

which lowers L(w + e) as SAM does, and the surrogate gap L(w + e) − L(w) without raising it. The radius
follows the learning rate from `rho` at its peak to `rho_min` at zero. The split is made over everything that
trains, step sizes included, as one vector. Everything else as in `sam`.

Source: Zhuang et al. 2022 (ICLR, arXiv 2203.08065), algorithm 1; the defaults are its values for ResNet-50.
"""

from dataclasses import dataclass
from typing import Annotated

import torch

from flatqat.methods import sam
from flatqat.methods.perturb import EPS, Tensors, norm
from flatqat.methods.settings import AtLeast, Between


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(sam.Config):
    rho: float = 0.04
    rho_min: Annotated[float, Between(0, "rho")] = 0.02
    alpha: Annotated[float, AtLeast(0)] = 0.01


class GSAM(sam.SAM):
    Config = Config

    @property
    def radius(self) -> float:
        low, high = self.config.rho_min, self.config.rho
        return float(low + (high - low) * self.schedule)

    @torch.no_grad()
    def combine(self, first: Tensors) -> None:
        second = {name: p.grad for name, p in self.model.named_parameters() if p.grad is not None}
        dot = torch.stack([(first[name] * slope).sum() for name, slope in second.items()]).sum()
        share = dot / (norm(second) + EPS).square()
        for name, slope in second.items():
            slope.sub_(self.config.alpha * (first[name] - share * slope))


METHOD = GSAM
