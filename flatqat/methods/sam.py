"""SAM, sharpness-aware minimization: step with the gradient found at a distance ρ uphill.

    g = ∇L(w),   e = ρ · g / (‖g‖ + 1e-12),   step at w with ∇L(w + e)

with one norm over everything that is perturbed: weights, biases, and BatchNorm's γ and β, as in the paper;
step sizes are perturbed only with `scales`. BatchNorm's running statistics are updated in the first pass
only, and random layers (dropout, stochastic depth) draw the same numbers in both passes, so that both
evaluate one function. The weights of quantized layers are perturbed before the rounding (`space=latent`) or
after it (`quantized`).

Source: Foret et al. 2021 (arXiv 2010.01412), algorithm 1; ρ = 0.05 is its value for CIFAR-10.
"""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from torch import Tensor

from flatqat.methods.base import Calibration, Method, Setup
from flatqat.methods.batchnorm import preserved_statistics
from flatqat.methods.perturb import (
    EPS,
    Perturbation,
    PerturbedSpace,
    Tensors,
    drawn_again,
    norm,
    scaled,
    take_gradients,
)
from flatqat.methods.settings import AtLeast


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(Calibration):
    """The settings of `sam`: the radius, the space of the weights, and whether step sizes are perturbed."""

    rho: Annotated[float, AtLeast(0)] = 0.05
    space: PerturbedSpace = "latent"
    scales: bool = False


class SAM(Method):
    """Sharpness-aware minimization (Foret et al. 2021).

    Variants override `ascent`, where the second pass is, and `combine`, the step's gradient from both passes.
    """

    Config: ClassVar[type[Any]] = Config
    passes = 2

    def __init__(self, setup: Setup, config: Any = None) -> None:
        super().__init__(setup, config)
        self.perturbation = Perturbation(self.model, space=self.config.space, scales=self.config.scales)

    @property
    def compilable(self) -> bool:
        """Whether nothing is added to rounded weights by a hook."""
        return bool(self.config.space == "latent")

    @property
    def radius(self) -> float:
        """The radius ρ of the next step."""
        rho: float = self.config.rho
        return rho

    def gradient(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        """Write the gradient at the perturbed point to `.grad`, combined with the first."""
        with drawn_again(x.device), self.perturbation.recorded() as shifts:
            loss = self.task_gradient(x, y)
        gradients, first = self.perturbation.gradients(shifts), take_gradients(self.model)
        with self.perturbation.moved(self.ascent(gradients)), preserved_statistics(self.model):
            loss_moved = self.task_gradient(x, y)
        self.combine(first)
        return {"loss": loss, "loss_moved": loss_moved}

    def ascent(self, gradients: Tensors) -> Tensors:
        """Return the perturbation e for the second pass, from the gradients of the first."""
        return scaled(gradients, self.radius / (norm(gradients) + EPS))

    def combine(self, first: Tensors) -> None:
        """Combine the gradients of both passes in `.grad`, which holds those of the second."""


METHOD = SAM
