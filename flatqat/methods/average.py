"""A running average of everything that is trained."""

from typing import Literal

import torch
from torch import nn

from flatqat.quant.apply import latent_weights

AveragedWeight = Literal["latent", "quantized"]


class Average:
    """A copy of all trained parameters: weights, biases, BatchNorm's γ and β, and step sizes.

    Of a quantized weight W it averages W itself or, with `weight="quantized"`, Q(W) in the scale of W, since
    `deploy_` puts the average in W's place.
    """

    def __init__(self, model: nn.Module, weight: AveragedWeight = "latent") -> None:
        self.parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self.quantized = latent_weights(model) if weight == "quantized" else {}
        self.values = {name: p.detach().clone() for name, p in self.parameters.items()}

    @torch.no_grad()
    def move_(self, fraction: float) -> None:
        """Set m ← m + fraction · (w − m), with w the current value; a fraction of 1 copies it exactly."""
        targets = [
            self.quantized[name][1].in_weight_scale(p) if name in self.quantized else p
            for name, p in self.parameters.items()
        ]
        torch._foreach_lerp_(list(self.values.values()), targets, fraction)

    @torch.no_grad()
    def join_(self, other: "Average", fraction: float) -> None:
        """Set m ← m + fraction · (other − m)."""
        torch._foreach_lerp_(list(self.values.values()), list(other.values.values()), fraction)

    @torch.no_grad()
    def deploy_(self) -> None:
        """Copy the average into the model."""
        torch._foreach_copy_(list(self.parameters.values()), list(self.values.values()))
