"""Oscillation dampening: a regularizer pulls every latent weight to the center of its bin.

    L(Q(w)) + λ_t · Σ (sg(Q(w)) − clip(w, s·qmin, s·qmax))²,   so   w: g + 2 λ_t (w − Q(w)) inside the range

sg stops the gradient: the regularizer acts on latent weights only, not on step sizes and not on clipped
weights. A weight that oscillates between two levels is close to the threshold between them; this pulls it
away. λ_t is zero during the first `start` of the training, then rises as a half cosine to `strength`. If a
quantizer normalizes weights first, Q(w) is mapped back to the scale of w.

`aggregation` defines Σ. `sum` is the paper's equation, the Frobenius norm: the pull on a weight depends on
its distance only, not on its layer. `kernel_mean`, the default of the authors' code, divides by the number of
weights in an output channel: the pull is strong in depthwise layers, whose oscillations the paper is about,
and almost zero elsewhere within a few thousand steps.

Source: Nagel et al. 2022, "Overcoming Oscillations in Quantization-Aware Training" (arXiv 2203.11086),
section 4.2; λ from 0 to 0.1, from 25% of training on, as in the authors' code.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
from torch import Tensor

from flatqat.methods.base import Calibration, Method, Setup
from flatqat.methods.schedule import half_cosine
from flatqat.methods.settings import AtLeast, Between
from flatqat.quant.apply import latent_weights


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(Calibration):
    """The settings of `dampen`; `start` is a fraction of the training."""

    strength: Annotated[float, AtLeast(0)] = 0.1
    start: Annotated[float, Between(0, 1)] = 0.25
    aggregation: Literal["sum", "kernel_mean"] = "sum"


class Dampen(Method):
    """Quantization-aware training with oscillation dampening (Nagel et al. 2022)."""

    Config = Config
    needs_rounded_weights = True

    def __init__(self, setup: Setup, config: Any = None) -> None:
        super().__init__(setup, config)
        self.weights = list(latent_weights(self.model).values())

    @property
    def strength(self) -> float:
        """λ_t of the next step."""
        first = self.config.start * self.total_steps
        if self.steps_done <= first:
            return 0.0
        return half_cosine((self.steps_done - first) / (self.total_steps - first), 0, self.config.strength)

    def gradient(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        """Add the pull towards the bin centers to the task gradient."""
        logs = super().gradient(x, y)
        if not self.strength:
            return logs
        with torch.no_grad():
            for w_latent, quantizer in self.weights:
                if w_latent.grad is None:  # a layer that was not used
                    continue
                pull = (w_latent - quantizer.in_weight_scale(w_latent)) * quantizer.in_range(w_latent)
                channels = w_latent.shape[quantizer.channel_axis]
                shared = w_latent.numel() // channels if self.config.aggregation == "kernel_mean" else 1
                w_latent.grad.add_(pull, alpha=2 * self.strength / shared)
        return logs


METHOD = Dampen
