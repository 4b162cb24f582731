"""APoT: levels that are sums of powers of two, under a learned clipping bound α.

v̂ = α · Π(clip(v / α)), Π the nearest level (the lower of two that are equally near). A magnitude of B bits
is a sum of ⌊B/2⌋ terms with four values and, if B is odd, one with two: zero or one of the term's powers of
two. No power is in two terms, and the largest sum is scaled to 1. B = b for inputs that were never negative;
B = b − 1 and a sign for weights and for inputs that calibration saw negative.

Weights are normalized first: w̃ = (w − mean) / std over the layer, differentiated. The layer computes with
Q(w̃), so magnitude and mean are lost and BatchNorm has to take them up, as with DoReFa. Q(w) is no
projection, since mean and deviation of Q(w) are others; the grid is. `in_weight_scale` is mean + std · Q(w).

∂v̂/∂v = 1 inside the range, else 0; ∂v̂/∂α = Π(v/α) − v/α inside, the sign outside. With weights of 2 bits,
whose levels are −1, 0, 1, the gradient passes outside too ("calibrated gradients"). α is decayed like the
weights and has no gradient factor. Starts (`own`): α = 3 for weights, 6 for inputs; the other rules take it
from the data, for weights from normalized ones.

Source: Li, Dong, Wang 2020, "Additive Powers-of-Two Quantization" (arXiv 1909.13144), and the authors' code
for ImageNet, whose way with odd B this is, carried on to 8 bits. Their code for CIFAR-10 takes mean and
deviation as constants, passes the gradient of every weight and starts inputs at 8. First and last layers
have a uniform 8-bit grid there; here it is LSQ's.
"""

from functools import lru_cache
from typing import ClassVar

import torch
from torch import Tensor

from flatqat.quant.base import SMALLEST_SCALE, Quantizer, RangeInit, Role
from flatqat.quant.lookup import bucketize, lookup
from flatqat.quant.observe import Observer
from flatqat.quant.ops import full_precision, surrogate


@lru_cache
def additive_levels(bits: int) -> tuple[float, ...]:
    """The 2^bits sums in [0, 1], rising: 0, 1/48, 1/24, ... for 4 bits."""
    terms: list[list[int]] = [[] for _ in range(bits // 2)]
    lone: list[int] = []
    power = 0
    for turn in range(3):
        for term in ([lone] if turn == 2 and bits % 2 else []) + terms:
            power += 1
            term.append(power)
    sums = [0.0]
    for term in [*terms, lone] if lone else terms:
        sums = [total + part for total in sums for part in (0.0, *(2.0**-p for p in term))]
    return tuple(sorted(total / max(sums) for total in sums))


class APoT(Quantizer):
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
        """The levels from 0 to 1, rising."""
        return additive_levels(bits)

    @property
    def step_size(self) -> Tensor:
        mean_distance: float = (1 - self.lowest) / self.qmax
        return self.safe_scale * mean_distance

    def normalize(self, v: Tensor) -> Tensor:
        if self.role == "input":
            return v
        mean, deviation = self._moments(v)
        return (v - mean) / deviation

    def denormalize(self, u: Tensor, v: Tensor) -> Tensor:
        if self.role == "input":
            return u
        mean, deviation = self._moments(v)
        return u * deviation + mean

    def project(self, u: Tensor) -> Tensor:
        alpha = self.safe_scale
        with torch.no_grad():
            ratio = u / alpha
            clipped = ratio.clamp(self.lowest, 1)
            level = lookup(self.levels, bucketize(clipped, self.middles))
            level = torch.where(clipped.isnan(), clipped, level)
            inside = clipped == ratio
            slope = level - clipped.mul_(inside)
            value = level.mul_(alpha)
        passing = None if self.custom_backward and not self.ste_only else inside
        return surrogate(value, u, passing, [(alpha, slope)])

    def codes(self, v: Tensor) -> Tensor:
        return bucketize(self.normalize(full_precision(v)) / self.safe_scale, self.middles)

    def dequantize(self, codes: Tensor) -> Tensor:
        return lookup(self.levels, codes) * self.safe_scale

    def in_range(self, v: Tensor) -> Tensor:
        ratio = self.normalize(full_precision(v)) / self.safe_scale
        within: Tensor = (ratio >= self.lowest) & (ratio <= 1)
        return within

    def set_signed(self, signed: bool) -> None:
        count = len(self.magnitudes(self.bits - signed))
        self.set_bounds(0, 2 * count - 2 if signed else count - 1)

    def set_bounds(self, low: int, high: int) -> None:
        """The codes 0 .. high number the levels; an odd count of them has a sign."""
        super().set_bounds(low, high)
        signed = high % 2 == 0
        self.lowest = -1.0 if signed else 0.0
        rising = self.magnitudes(self.bits - signed)
        below = [-level for level in reversed(rising[1:])] if signed else []
        self.levels = torch.tensor([*below, *rising]).to(self.scale)
        self.middles = (self.levels[1:] + self.levels[:-1]) / 2

    @torch.no_grad()
    def calibrate(self, seen: Observer, rule: RangeInit = "own", percentile: float = 99.9) -> None:
        if self.role == "weight":
            normalized = Observer(seen.scale_shape, whole=True)
            normalized.add(self.normalize(seen.values))
            seen = normalized
        super().calibrate(seen, rule, percentile)

    def set_range(self, low: Tensor, high: Tensor) -> None:
        self.set_scale(torch.maximum(-low, high))

    def initialize(self, seen: Observer) -> None:
        self.set_scale(torch.full_like(seen.high, self.starts[self.role]))

    def _moments(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of what shares a grid."""
        axes = tuple(range(1 if self.scale.ndim else 0, v.ndim))
        deviation, mean = torch.std_mean(v, axes, correction=0, keepdim=bool(self.scale.ndim))
        return mean, deviation.clamp_min(SMALLEST_SCALE)


QUANTIZER = APoT
