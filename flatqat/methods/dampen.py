"""Oscillation dampening: a regulariser draws every latent weight to the middle of its bin.

    L(Q(w)) + λ_t · Σ (sg(Q(w)) − clip(w, s·low, s·high))²,   so   w: g + 2 λ_t (w − Q(w)) inside the range

with sg for no gradient: the latent weight alone feels it, not the step size, and a clipped weight not at all.
A weight that jumps to and fro between two levels sits at the threshold between them; this draws it away. λ_t
is zero for the first `start` of the training, then rises as a half cosine to `strength`. Where a quantizer
normalizes weights first, Q(w) is carried back to the scale of w.

`aggregation` is what Σ stands for. `sum` is the paper's equation, the Frobenius norm: the pull on a weight
is that of its distance, whatever the layer. `kernel_mean`, the default of the authors' code, divides by the
weights of one output channel: strong in depthwise layers, whose oscillations the paper is about, and in
others nearly nothing within some thousand steps.

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
    strength: Annotated[float, AtLeast(0)] = 0.1
    start: Annotated[float, Between(0, 1)] = 0.25
    aggregation: Literal["sum", "kernel_mean"] = "sum"


class Dampen(Method):
    Config = Config

    def __init__(self, setup: Setup, config: Any = None) -> None:
        super().__init__(setup, config)
        self.weights = list(latent_weights(self.model).values())

    @property
    def strength(self) -> float:
        """λ_t of the step to come."""
        first = self.config.start * self.total_steps
        if self.steps_done <= first:
            return 0.0
        return half_cosine((self.steps_done - first) / (self.total_steps - first), 0, self.config.strength)

    def gradient(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        logs = super().gradient(x, y)
        with torch.no_grad():
            for w_latent, quantizer in self.weights:
                if w_latent.grad is None:  # a layer that took no part
                    continue
                pull = (w_latent - quantizer.in_weight_scale(w_latent)) * quantizer.in_range(w_latent)
                shared = w_latent[0].numel() if self.config.aggregation == "kernel_mean" else 1
                w_latent.grad.add_(pull, alpha=2 * self.strength / shared)
        return logs


METHOD = Dampen
