"""SAQ, sharpness-aware quantization: SAM with the perturbation added behind the rounding.

    min_w max_{‖e‖ ≤ ρ} L(Q(w) + e):   g = ∂L/∂Q(w),   e = ρ · g / (‖g‖ + 1e-12),
    step at w with the straight-through gradient of L(Q(w) + e)

so that no rounding undoes e, and clipped weights are moved with the rest: the loss is flattened where the
network is deployed. Biases and BatchNorm's γ and β are moved too, step sizes (the clipping values of the
paper) only with `scales`, as in the authors' code. It is `sam` in the space `quantized` with a radius of its
own, and in floating point SAM itself.

Source: Liu et al. 2021 (arXiv 2111.12273); ρ = 0.3 is the value of its authors for ResNet-18 on ImageNet.
"""

from dataclasses import dataclass
from typing import Annotated

from flatqat.methods.base import Calibration
from flatqat.methods.perturb import Space
from flatqat.methods.sam import SAM
from flatqat.methods.settings import AtLeast


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(Calibration):
    rho: Annotated[float, AtLeast(0)] = 0.3
    scales: bool = False


class SAQ(SAM):
    Config = Config

    @property
    def space(self) -> Space:
        return "quantized"


METHOD = SAQ
