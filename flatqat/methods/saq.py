"""SAQ, sharpness-aware quantization: SAM with the perturbation added after the rounding.

    min_w max_{‖e‖ ≤ ρ} L(Q(w) + e):   g = ∂L/∂Q(w),   e = ρ · g / (‖g‖ + 1e-12),
    step at w with the straight-through gradient of L(Q(w) + e)

so that rounding cannot undo e, and clipped weights are perturbed like all others: the loss becomes flat
around the deployed weights. Biases and BatchNorm's γ and β are perturbed too, step sizes (the clipping values
of the paper) only with `scales`, as in the authors' code. This is `sam` in the space `quantized` with another
default radius, and in floating point SAM itself.

Source: Liu et al. 2021 (arXiv 2111.12273); ρ = 0.3 is the value of its authors for ResNet-18 on ImageNet.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from flatqat.methods.base import Calibration
from flatqat.methods.perturb import PerturbedSpace
from flatqat.methods.sam import SAM
from flatqat.methods.settings import AtLeast


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(Calibration):
    """The settings of `saq`."""

    rho: Annotated[float, AtLeast(0)] = 0.3
    space: ClassVar[PerturbedSpace] = "quantized"
    scales: bool = False


class SAQ(SAM):
    """Sharpness-aware quantization (Liu et al. 2021)."""

    Config = Config


METHOD = SAQ
