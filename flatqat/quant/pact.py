"""PACT: inputs are clipped at a learned bound α; weights are quantized as in DoReFa.

    y = clip(x, 0, α),   y_q = round(y · n / α) · α / n,   n = 2^b − 1;
    ∂y_q/∂α = 1 where x ≥ α, else 0;   ∂y_q/∂x = 1 where 0 ≤ x < α, else 0.

Unlike in LSQ, the rounding residual does not enter the gradient of α, which has no factor. Weight decay
applies to α as to the weights (½ λ α² in the loss, with their λ), and that is what shrinks it: its gradient
comes from clipped values alone. α starts at 10 (`ranges=own`). One α per layer.

Inputs that are negative during calibration are clipped to [−α, α] with 2^b − 1 symmetric levels, and ∂y_q/∂α
is −1 where x ≤ −α; the paper only has ReLU networks.

Source: Choi et al. 2018, "PACT: Parameterized Clipping Activation for Quantized Neural Networks" (arXiv
1805.06085), section 3. α starts at 6 in MQBench and at 1 in SAQ. First and last layers are not quantized
there; here layers kept at 8 bits have the grid of LSQ.
"""

from typing import ClassVar

import torch
from torch import Tensor

from flatqat.quant.base import Role
from flatqat.quant.dorefa import DoReFa
from flatqat.quant.kernels.rule import Rule
from flatqat.quant.observe import Observer


class PACT(DoReFa):
    """PACT (Choi et al. 2018): a learned clipping bound for inputs, DoReFa for weights."""

    learns_scale = True
    learning_roles: ClassVar[tuple[Role, ...]] = ("input",)
    weight_decayed = ("scale",)
    start: ClassVar[float] = 10.0

    @property
    def step_divisor(self) -> int:
        """α is n steps of an input's grid."""
        return self.qmax if self.role == "input" else 1

    def rule(self, u: Tensor) -> Rule:
        """Return the rule of an input: α gets the gradient of clipped values alone, it itself included."""
        plain = super().rule(u)
        if self.role == "weight":
            return plain
        return plain._replace(residual=False, open_low=self.qmin < 0, open_high=True)

    def set_signed(self, signed: bool) -> None:
        """Use 2^b − 1 symmetric levels for signed inputs."""
        top = 2 ** (self.bits - 1) - 1 if signed else 2**self.bits - 1
        self.set_bounds(-top if signed else 0, top)

    def set_range(self, low: Tensor, high: Tensor) -> None:
        """Set α to the largest magnitude."""
        self.set_scale(torch.maximum(-low, high))

    def initialize(self, observed: Observer) -> None:
        """Set α to its constant initial value."""
        self.set_scale(torch.full_like(observed.high, self.start))


QUANTIZER = PACT
