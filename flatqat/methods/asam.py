"""ASAM, adaptive SAM: perturbations scale with the weights, so that rescaling layers changes nothing.

    T = |w| + η,   e = ρ · T² g / (‖T g‖ + 1e-12),   step at w with ∇L(w + e)

T is 1 for biases and all other parameters that are not weights; BatchNorm's γ counts as a weight, as in the
authors' code, which goes by names. In the space `quantized`, T = |Q(W)| + η. The radius is relative: about
ten times that of SAM. Everything else is as in `sam`.

Source: Kwon et al. 2021 (arXiv 2102.11600), algorithm 1; the defaults are its values for CIFAR-10.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from flatqat.methods import sam
from flatqat.methods.perturb import EPS, Tensors, norm, scaled
from flatqat.methods.settings import AtLeast


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(sam.Config):
    """The settings of `asam`."""

    rho: float = 0.5
    eta: Annotated[float, AtLeast(0)] = 0.01


class ASAM(sam.SAM):
    """Adaptive sharpness-aware minimization (Kwon et al. 2021)."""

    Config = Config

    def ascent(self, gradients: Tensors) -> Tensors:
        """Return e = ρ · T² g / ‖T g‖."""
        values, scales = self.perturbation.values(), self.perturbation.scale_names
        weights = [name for name in gradients if "weight" in name and name not in scales]
        if not weights:
            return super().ascent(gradients)
        sizes = torch._foreach_add(torch._foreach_abs([values[name] for name in weights]), self.config.eta)
        sized = gradients | _products(gradients, weights, sizes)
        offsets = scaled(sized, self.radius / (norm(sized) + EPS))
        return offsets | _products(offsets, weights, sizes)


def _products(tensors: Tensors, names: Sequence[str], factors: tuple[Tensor, ...]) -> Tensors:
    products = torch._foreach_mul([tensors[name] for name in names], factors)
    return dict(zip(names, products, strict=True))


METHOD = ASAM
