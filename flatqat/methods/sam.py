"""SAM, sharpness-aware minimisation: step with the gradient found a radius ρ up the slope.

    g = ∇L(w),   e = ρ · g / (‖g‖ + 1e-12),   step at w with ∇L(w + e)

with one norm over everything that is moved: weights, biases, and BatchNorm's γ and β, as in the paper; step
sizes stay where they are unless `scales`. BatchNorm's running statistics move in the first pass only, and
what layers draw at random (dropout, stochastic depth) is the same in both, since both are of one function.
The weights of quantized layers are moved before the rounding (`space=latent`) or behind it (`quantized`).

Source: Foret et al. 2021 (arXiv 2010.01412), algorithm 1; ρ = 0.05 is its value for CIFAR-10.
"""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import torch
from torch import Tensor

from flatqat.methods.base import Calibration, Method, Setup
from flatqat.methods.batchnorm import kept_statistics
from flatqat.methods.perturb import EPS, Perturbation, Space, Tensors, norm, take_gradients
from flatqat.methods.settings import AtLeast


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(Calibration):
    rho: Annotated[float, AtLeast(0)] = 0.05
    space: Space = "latent"
    scales: bool = False


class SAM(Method):
    """Two passes a step; a relative says where the second one is (`ascent`) and how they `combine`."""

    Config: ClassVar[type[Any]] = Config
    passes = 2

    def __init__(self, setup: Setup, config: Any = None) -> None:
        super().__init__(setup, config)
        self.perturbation = Perturbation(self.model, space=self.space, scales=self.config.scales)

    @property
    def space(self) -> Space:
        return self.config.space  # type: ignore[no-any-return]

    @property
    def radius(self) -> float:
        return self.config.rho  # type: ignore[no-any-return]

    def gradient(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        devices = [x.device] if x.device.type == "cuda" else []
        with torch.random.fork_rng(devices), self.perturbation.watched() as shifts:  # drawn again below
            loss = self.task_gradient(x, y)
        slopes, first = self.perturbation.slopes(shifts), take_gradients(self.model)
        with self.perturbation.moved(self.ascent(slopes)), kept_statistics(self.model):
            loss_moved = self.task_gradient(x, y)
        self.combine(first)
        return {"loss": loss, "loss_moved": loss_moved}

    def ascent(self, slopes: Tensors) -> Tensors:
        """How far everything is moved for the second pass."""
        factor = self.radius / (norm(slopes) + EPS)
        return {name: factor * slope for name, slope in slopes.items()}

    def combine(self, first: Tensors) -> None:
        """Make the step's gradient of the first pass's and of the second's, which stands in `.grad`."""


METHOD = SAM
