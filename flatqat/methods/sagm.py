"""SAGM, sharpness-aware gradient matching: the gradients at w and beyond it, drawn to one direction.

    e = (ρ / (‖g‖ + 1e-12) − α) · g,   step at w with ½ (g + ∇L(w + e))

which descends on L(w) + L(w + ρ g/‖g‖ − α g): the loss, the perturbed loss, and the angle between their
gradients. Everything that trains steps with the mean of its two gradients, step sizes too; what is moved is
as in `sam`.

Source: Wang et al. 2023 (CVPR, arXiv 2303.10353); ρ = 0.05 and α = 0.001 are its values for PACS, VLCS and
TerraIncognita.
"""

from dataclasses import dataclass
from typing import Annotated

import torch

from flatqat.methods import sam
from flatqat.methods.perturb import EPS, Tensors, norm
from flatqat.methods.settings import AtLeast


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(sam.Config):
    alpha: Annotated[float, AtLeast(0)] = 0.001


class SAGM(sam.SAM):
    Config = Config

    def ascent(self, slopes: Tensors) -> Tensors:
        factor = self.radius / (norm(slopes) + EPS) - self.config.alpha
        return {name: factor * slope for name, slope in slopes.items()}

    @torch.no_grad()
    def combine(self, first: Tensors) -> None:
        for name, p in self.model.named_parameters():
            if p.grad is not None:
                p.grad.add_(first[name]).mul_(0.5)


METHOD = SAGM
