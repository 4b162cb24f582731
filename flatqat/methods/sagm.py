"""SAGM, sharpness-aware gradient matching: SAM that aligns the gradients at w and w + e.

    e = (ρ / (‖g‖ + 1e-12) − α) · g,   step at w with ½ (g + ∇L(w + e))

which descends on L(w) + L(w + ρ g/‖g‖ − α g): the loss, the perturbed loss, and the angle between their
gradients. All trained parameters, step sizes too, step with the mean of both; `sam` says what is perturbed.

Source: Wang et al. 2023 (CVPR, arXiv 2303.10353), with its ρ and α for PACS, VLCS and TerraIncognita.
"""

from dataclasses import dataclass
from typing import Annotated

import torch

from flatqat.methods import sam
from flatqat.methods.perturb import EPS, Tensors, gradients, norm, scaled
from flatqat.methods.settings import AtLeast


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(sam.Config):
    """The settings of `sagm`."""

    alpha: Annotated[float, AtLeast(0)] = 0.001


class SAGM(sam.SAM):
    """Sharpness-aware gradient matching (Wang et al. 2023)."""

    Config = Config

    def ascent(self, gradients: Tensors) -> Tensors:
        """Return e = (ρ / ‖g‖ − α) · g."""
        return scaled(gradients, self.radius / (norm(gradients) + EPS) - self.config.alpha)

    @torch.no_grad()
    def combine(self, first: Tensors) -> None:
        """Write the mean of both gradients to `.grad`."""
        second = gradients(self.model)
        torch._foreach_add_(list(second.values()), [first[name] for name in second])
        torch._foreach_mul_(list(second.values()), 0.5)


METHOD = SAGM
