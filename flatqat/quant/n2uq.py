"""N2UQ: inputs have learned non-uniform thresholds and uniform levels; weights a uniform grid without zero.

Inputs, n = 2^b − 1: segments of widths a_1 .. a_n follow each other from `start`; the threshold to code k is
the middle of segment k, T_k = start + a_1 + ... + a_(k−1) + a_k / 2. That is uniform rounding of a curve f:

    f(x) = k − 1 + (x − left_k) / a_k   on segment k,       x̂ = s · round(clip(f(x), 0, n)).

The backward is that of s · clip(f(x), 0, n) with ∂x̂/∂s = the code (generalized straight-through estimator):
slope s / a_k on segment k. A value exactly on `start`, such as the zeros behind a ReLU, counts as clipped,
and a width is at least 10⁻³ of half the output range, both as in the authors' code.

Weights: levels s · (k − n/2), k = 0 .. n, s = 2 γ mean|w| / n, γ = (2^b − 1) / 2^(b−1), per channel; the
gradient passes everywhere, also outside the range.

Segments start with equal widths. With `ranges=own` they cover the paper's range [0, 2] (here also [−1, 1] for
inputs that are negative during calibration); the other range initializations derive it from the data.

Source: Liu et al. 2022, "Nonuniform-to-Uniform Quantization" (arXiv 2111.14826), and the authors' code. There
x is first multiplied by a learned scale, which (start, a) can express as well. There the weights' s is
computed from the weights at every step, here once at calibration, since a grid is part of the stored state;
and their gradient is divided by γ mean|w|, which Adam cancels. (start, a, s) are trained by Adam at a tenth
of the learning rate there; here they have LSQ's factor 1 / sqrt(N · n). First and last layers are in floating
point there; here layers kept at 8 bits have the grid of LSQ.
"""

from math import sqrt
from typing import ClassVar

import torch
from torch import Tensor, nn

from flatqat.quant.base import Quantizer, Role
from flatqat.quant.lookup import bucketize, lookup
from flatqat.quant.observe import Observer
from flatqat.quant.ops import fake_quantize, scale_gradient, surrogate

NARROWEST = 1e-3
LARGEST = 1e30  # a clipped value has gradient 0, which times infinity would be NaN


class N2UQ(Quantizer):
    """Nonuniform-to-uniform quantization (Liu et al. 2022): learned input thresholds, uniform levels."""

    version = 2  # 1: a value on `start` counted as inside
    learns_scale = True
    learning_roles: ClassVar[tuple[Role, ...]] = ("input",)
    edge_quantizer = "lsq"

    def __init__(self, *, bits: int, role: Role, scale_shape: tuple[int, ...] = ()) -> None:
        super().__init__(bits=bits, role=role, scale_shape=scale_shape)
        self.segments = 2**bits - 1
        self.set_bounds(0, self.segments)
        self.custom_backward = role == "weight"
        if role == "input":
            self.open_ends = (True, False)
            self.start = nn.Parameter(torch.zeros(()))
            self.widths = nn.Parameter(torch.ones(self.segments))

    def normalize(self, v: Tensor) -> Tensor:
        """Return s · (f(v) + qmin) for inputs: on this curve the thresholds are halfway between levels."""
        if self.role == "weight":
            return v
        factor = self.grad_factor(v)
        start, widths, step = (scale_gradient(p, factor) for p in (self.start, self.widths, self.step_size))
        narrowest = step.detach() * (NARROWEST * self.segments / 2)
        widths = torch.where(widths > narrowest, widths, narrowest)
        left = start + widths.cumsum(0) - widths
        slope = step / widths
        at_left = step * torch.arange(self.qmin, self.qmax, device=v.device)
        with torch.no_grad():
            segment = bucketize(v, left[1:])
        intercept = lookup(at_left - slope * left, segment)
        return torch.addcmul(intercept, v.clamp(-LARGEST, LARGEST), lookup(slope, segment))

    def project(self, u: Tensor) -> Tensor:
        """Round on the uniform grid; the gradient of weights passes everywhere."""
        if self.role == "input":
            return super().project(u)
        value = fake_quantize(u.detach(), self.step_size, 0, self.qmax, offset=self.grid_offset)
        return surrogate(value, u, self.in_range(u) if self.ste_only else None)

    @property
    def grid_offset(self) -> Tensor | None:
        """The smallest level of a weight, which has code 0."""
        return None if self.role == "input" else self.step_size * -(self.segments / 2)

    def grad_scale(self, v: Tensor) -> float:
        """Return 1 / sqrt(N · n) for inputs with N features."""
        return 1 / sqrt(v[0].numel() * self.segments) if self.role == "input" else 1.0

    def set_signed(self, signed: bool) -> None:
        """Do nothing: `set_range` chooses the bounds."""

    def set_range(self, low: Tensor, high: Tensor) -> None:
        """Cover [low, high]: with segments of equal width for inputs, symmetrically for weights."""
        if self.role == "weight":
            self.set_scale(torch.maximum(-low, high) * 2 / self.segments)
            return
        self.set_scale((high - low) / self.segments)
        below = int((-low / self.scale).round())
        self.set_bounds(-below, self.segments - below)
        self.start.data.copy_(-below * self.scale)
        self.widths.data.copy_(self.scale.expand(self.segments))

    def initialize(self, observed: Observer) -> None:
        """Use γ mean|w| for weights, and the range of the paper for inputs."""
        if self.role == "weight":
            reach = self.segments / 2 ** (self.bits - 1) * observed.reduce(observed.values.abs())
            self.set_range(-reach, reach)
        else:
            one, signed = torch.ones_like(observed.low), bool((observed.low < 0).any())
            self.set_range(-one if signed else 0 * one, one if signed else 2 * one)


QUANTIZER = N2UQ
