"""A running average of everything that trains, beside the model."""

from typing import Literal

import torch
from torch import nn

from flatqat.quant.apply import latent_weights

Of = Literal["latent", "quantized"]


class Average:
    """A copy of the weights, biases, BatchNorm's γ and β and step sizes, as a dict of tensors.

    Of a quantized weight it holds the latent one, or with `of="quantized"` Q(W) from its first update on, in
    the scale of W, since it is put in W's place.
    """

    def __init__(self, model: nn.Module, of: Of = "latent") -> None:
        self.parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self.rounded = latent_weights(model) if of == "quantized" else {}
        self.values = {name: p.detach().clone() for name, p in self.parameters.items()}

    @torch.no_grad()
    def move_(self, share: float) -> None:
        """m ← m + share · (w − m), where w is what the model holds now; a share of 1 copies it exactly."""
        for name, p in self.parameters.items():
            target = self.rounded[name][1].in_weight_scale(p) if name in self.rounded else p
            self.values[name].lerp_(target, share)

    @torch.no_grad()
    def join_(self, other: "Average", share: float) -> None:
        """m ← m + share · (other − m)."""
        for name, value in self.values.items():
            value.lerp_(other.values[name], share)

    @torch.no_grad()
    def deploy_(self) -> None:
        """Put the average into the model."""
        for name, value in self.values.items():
            self.parameters[name].copy_(value)
