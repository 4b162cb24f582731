"""PACT: inputs clipped at a learned bound α; weights as in DoReFa.

    y = clip(x, 0, α),   y_q = round(y · n / α) · α / n,   n = 2^b − 1;
    ∂y_q/∂α = 1 where x ≥ α, else 0;   ∂y_q/∂x = 1 where 0 ≤ x < α, else 0.

The rounding residual takes no part in α's gradient, unlike in LSQ's, and there is no factor on it. α is
decayed like the weights (λ α² in the loss, with their λ), which is what draws it down: its gradient comes
from clipped values alone. Start: α = 10 (`own`). One α a layer.

Inputs that calibration saw negative are clipped to [−α, α] with 2^b − 1 symmetric levels, and ∂y_q/∂α is −1
where x ≤ −α; the paper has ReLU networks alone.

Source: Choi et al. 2018, "PACT: Parameterized Clipping Activation for Quantized Neural Networks" (arXiv
1805.06085), section 3. α starts at 6 in MQBench and at 1 in SAQ. First and last layers are not quantized
there; layers held at 8 bits have the grid of LSQ here.
"""

from typing import ClassVar

import torch
from torch import Tensor

from flatqat.quant.base import Role
from flatqat.quant.dorefa import DoReFa
from flatqat.quant.observe import Observer
from flatqat.quant.ops import full_precision, surrogate


class PACT(DoReFa):
    learns_scale = True
    learning_roles: ClassVar[tuple[Role, ...]] = ("input",)
    weight_decayed = ("scale",)
    start: ClassVar[float] = 10.0

    @property
    def step_size(self) -> Tensor:
        return self.safe_scale / self.qmax if self.role == "input" else self.safe_scale

    def project(self, u: Tensor) -> Tensor:
        if self.role == "weight":
            return super().project(u)
        alpha = self.safe_scale
        with torch.no_grad():
            step = alpha / self.qmax
            value = (u / step).clamp_(self.qmin, self.qmax).round_().mul_(step)
            clipped = (u >= alpha).to(value.dtype)
            if self.qmin < 0:
                clipped -= (u <= -alpha).to(value.dtype)
        return surrogate(value, u, self.in_range(u), [(alpha, clipped)])

    def in_range(self, v: Tensor) -> Tensor:
        """Where the gradient passes: the bound α itself is clipped."""
        if self.role == "weight":
            return super().in_range(v)
        v = full_precision(v)
        within: Tensor = (v < self.safe_scale) & (v > -self.safe_scale if self.qmin < 0 else v >= 0)
        return within

    def set_signed(self, signed: bool) -> None:
        top = 2 ** (self.bits - 1) - 1 if signed else 2**self.bits - 1
        self.set_bounds(-top if signed else 0, top)

    def set_range(self, low: Tensor, high: Tensor) -> None:
        self.set_scale(torch.maximum(-low, high))

    def initialize(self, seen: Observer) -> None:
        self.set_scale(torch.full_like(seen.high, self.start))


QUANTIZER = PACT
