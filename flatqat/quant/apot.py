"""APoT: the levels are sums of powers of two, up to a learned clipping bound α.

v̂ = α · Π(clip(v / α)), Π the nearest level (the lower of two that are equally near). A magnitude of B bits
is a sum of ⌊B/2⌋ terms with four values and, if B is odd, one with two: zero or one of the term's powers of
two. No power is in two terms, and the largest sum is scaled to 1. B = b for inputs that are never negative
during calibration; B = b − 1 and a sign bit for weights and other inputs.

Weights are normalized first: w̃ = (w − mean) / std over the layer's n weights, std with n − 1, with gradients
through both. The layer computes with Q(w̃), and BatchNorm has to restore magnitude and mean, as with DoReFa.
Q(w) is not idempotent, since Q(w) has another mean and deviation; the grid is. `in_weight_scale` is
mean + std · Q(w).

∂v̂/∂v = 1 inside the range, else 0; ∂v̂/∂α = Π(v/α) − v/α inside, the sign outside. With weights of 2 bits,
whose levels are −1, 0, 1, the gradient also passes outside ("calibrated gradients"). Weight decay applies to
α as to the weights, and its gradient has no factor. With `ranges=own`, α starts at 3 for weights and 6 for
inputs; the other range initializations derive it from the data, for weights from the normalized ones.

Source: Li, Dong, Wang 2020, "Additive Powers-of-Two Quantization" (arXiv 1909.13144), and the authors' code
for ImageNet, whose treatment of odd B is extended to 8 bits here. Their code for CIFAR-10 treats mean and
deviation as constants, passes the gradient of every weight and starts inputs at 8. First and last layers
have a uniform 8-bit grid there; here it is LSQ's.
"""

from functools import lru_cache
from typing import ClassVar

import torch
from torch import Tensor

from flatqat.quant.base import PERCENTILE, SMALLEST_SCALE, Quantizer, RangeInit, Role
from flatqat.quant.lookup import bucketize, lookup
from flatqat.quant.observe import Observer
from flatqat.quant.ops import full_precision, surrogate


@lru_cache
def additive_levels(bits: int) -> tuple[float, ...]:
    """Return the 2^bits sums in [0, 1] in increasing order: 0, 1/48, 1/24, ... for 4 bits."""
    count, odd = divmod(bits, 2)
    terms = [[i, count + i, 2 * count + odd + i] for i in range(1, count + 1)] + odd * [[2 * count + 1]]
    sums = [0.0]
    for term in terms:
        sums = [total + part for total in sums for part in (0.0, *(2.0**-power for power in term))]
    return tuple(sorted(total / max(sums) for total in sums))


class APoT(Quantizer):
    """Additive powers-of-two quantization (Li, Dong, Wang 2020), with a learned clipping bound."""

    version = 3  # 1: the standard deviation of a population; 2: as 1 of DoReFa
    learns_scale = True
    per_channel = False
    edge_quantizer = "lsq"
    weight_decayed = ("scale",)
    starts: ClassVar[dict[Role, float]] = {"weight": 3.0, "input": 6.0}
    levels: Tensor
    middles: Tensor

    def __init__(self, *, bits: int, role: Role, scale_shape: tuple[int, ...] = ()) -> None:
        super().__init__(bits=bits, role=role, scale_shape=scale_shape)
        self.custom_backward = role == "weight" and bits == 2
        self.register_buffer("levels", torch.zeros(0), persistent=False)
        self.register_buffer("middles", torch.zeros(0), persistent=False)
        self.set_signed(True)

    @staticmethod
    def magnitudes(bits: int) -> tuple[float, ...]:
        """Return the levels from 0 to 1, in increasing order."""
        return additive_levels(bits)

    @property
    def step_size(self) -> Tensor:
        """The mean distance between adjacent levels."""
        return self.safe_scale * ((1 - self.lowest) / self.qmax)

    def normalize(self, v: Tensor) -> Tensor:
        """Subtract the mean and divide by the deviation (weights only)."""
        if self.role == "input":
            return v
        mean, deviation = self._moments(v)
        return (v - mean) / deviation

    def denormalize(self, u: Tensor, v: Tensor) -> Tensor:
        """Multiply by the deviation of `v` and add its mean (weights only)."""
        if self.role == "input":
            return u
        mean, deviation = self._moments(v)
        return u * deviation + mean

    def project(self, u: Tensor) -> Tensor:
        """Return the nearest level times α."""
        alpha = self.safe_scale
        with torch.no_grad():
            ratio = u / alpha
            clipped = ratio.clamp(self.lowest, 1)
            level = lookup(self.levels, bucketize(clipped, self.middles))
            level = torch.where(clipped.isnan(), clipped, level)
            inside = clipped == ratio
            slope = level - clipped.mul_(inside)
        passing = None if self.custom_backward and not self.ste_only else inside
        return surrogate(level.mul_(alpha), u, passing, [(alpha, slope)])

    def codes(self, v: Tensor) -> Tensor:
        """Return the indices of the nearest levels, from 0."""
        return bucketize(self.normalize(full_precision(v)) / self.safe_scale, self.middles)

    def dequantize(self, codes: Tensor) -> Tensor:
        """Return the level of each code times α."""
        return lookup(self.levels, codes) * self.safe_scale

    def in_range(self, v: Tensor) -> Tensor:
        """Return whether each normalized value is within the clipping bound."""
        ratio = self.normalize(full_precision(v)) / self.safe_scale
        return (ratio >= self.lowest) & (ratio <= 1)

    def set_signed(self, signed: bool) -> None:
        """Use levels of both signs, or non-negative levels only."""
        count = len(self.magnitudes(self.bits - signed))
        self.set_bounds(0, 2 * count - 2 if signed else count - 1)

    def set_bounds(self, low: int, high: int) -> None:
        """Number the levels 0 .. high; an odd number of levels is a signed grid."""
        super().set_bounds(low, high)
        signed = high % 2 == 0
        self.lowest = -1.0 if signed else 0.0
        magnitudes = self.magnitudes(self.bits - signed)
        negative = [-level for level in reversed(magnitudes[1:])] if signed else []
        self.levels = torch.tensor([*negative, *magnitudes]).to(self.scale)
        self.middles = (self.levels[1:] + self.levels[:-1]) / 2

    @torch.no_grad()
    def calibrate(
        self, observed: Observer, range_init: RangeInit = "own", percentile: float = PERCENTILE
    ) -> None:
        """Calibrate weights on their normalized values."""
        if self.role == "weight":
            normalized = Observer(observed.scale_shape, keep_all=True)
            normalized.add(self.normalize(observed.values))
            observed = normalized
        super().calibrate(observed, range_init, percentile)

    def set_range(self, low: Tensor, high: Tensor) -> None:
        """Set α to the largest magnitude."""
        self.set_scale(torch.maximum(-low, high))

    def initialize(self, observed: Observer) -> None:
        """Set α to its constant initial value."""
        self.set_scale(torch.full_like(observed.high, self.starts[self.role]))

    def _moments(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean and standard deviation of the weights of a layer."""
        axes = tuple(range(v.ndim))
        deviation, mean = torch.std_mean(v, axes, correction=min(1, v.numel() - 1))
        return mean, deviation.clamp_min(SMALLEST_SCALE)


QUANTIZER = APoT
