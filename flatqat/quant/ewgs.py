"""EWGS: a learned affine range; each element's gradient is scaled by its distance to its level.

x_n = clip((x − l) / (u − l), 0, 1), x_q = round(n · x_n) / n with n = 2^b − 1, x̂ = l + (u − l) · x_q.
Backward of the rounding: g_n = g_q · (1 + δ · sign(g_q) · (x_n − x_q)), so the gradient is larger for an
element that a step moves towards its level and smaller for one that it moves away. l and u get their
gradients by the chain rule through the same backward; they are stored as l and the step size s = (u − l) / n.

δ = 10⁻³, the fixed value of the published code; setting it by the trace of the Hessian is left out. Initial
values for weights: u = −l = 3σ; for inputs that are never negative: l = 0, u = 3σ / sqrt(1 − 2/π), σ being
the standard deviation of half a normal distribution; for other inputs: u = −l = 3σ. σ is that of a sample,
with n − 1. One range per layer.

Source: Lee, Kim, Ham 2021, "Network Quantization with Element-wise Gradient Scaling" (arXiv 2104.00903).
There a layer computes with 2 x_q − 1 for weights and x_q for inputs, and multiplies its output by a learned
scale; here the levels stay in [l, u], and no scale is lost. There l and u have their own Adam optimizer with
learning rate 10⁻⁵; here they are trained like all parameters, with LSQ's factor 1 / sqrt(N · n).

This backward is not the gradient of any function, and its own derivative is not symmetric: curvature is
measured with the straight-through estimator instead. For another δ, subclass EWGS in a plugin file.
"""

from math import pi, sqrt
from typing import ClassVar

import torch
from torch import Tensor

from flatqat.quant.base import Role
from flatqat.quant.kernels.rule import Rule
from flatqat.quant.lsqplus import LSQPlus
from flatqat.quant.observe import Observer


class EWGS(LSQPlus):
    """Element-wise gradient scaling (Lee, Kim, Ham 2021) with a learned affine range."""

    version = 2  # 1: started from the standard deviation of a population
    offset_roles: ClassVar[tuple[Role, ...]] = ("weight", "input")
    offset_ends: ClassVar[tuple[bool, bool]] = (False, False)
    per_channel = False
    custom_backward = True
    delta: ClassVar[float] = 1e-3

    def rule(self, u: Tensor) -> Rule:
        """Return the rule of the affine grid, with gradients scaled by δ unless curvature is measured."""
        plain = super().rule(u)
        return plain if self.ste_only else plain._replace(delta=self.delta / self.qmax)

    def initialize(self, observed: Observer) -> None:
        """Set the range to three standard deviations."""
        deviation = 3 * observed.std(correction=1)
        if self.role == "input" and bool((observed.low >= 0).all()):
            self.set_range(torch.zeros_like(deviation), deviation / sqrt(1 - 2 / pi))
        else:
            self.set_range(-deviation, deviation)


QUANTIZER = EWGS
