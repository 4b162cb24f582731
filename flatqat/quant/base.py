"""What every quantizer is: a module that maps one tensor to a grid of at most 2^bits levels."""

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from flatqat.quant.observe import Observer
from flatqat.quant.ops import fake_quantize, from_codes, full_precision, to_codes

Role = Literal["weight", "input"]
RangeInit = Literal["own", "minmax", "mse", "percentile"]

MSE_FRACTIONS = [percent / 100 for percent in range(20, 101)]
SMALLEST_SCALE = 1e-8


class Quantizer(nn.Module):
    """A uniform grid s · {low, ..., high} for the weight or the input of one layer.

    `scale` has shape `scale_shape`: () for one scale per tensor, (C, 1, ...) for one per output channel.
    `low` and `high` are the integer bounds; calibration of an input may move them (unsigned, affine).
    Subclasses say how the scale starts (`initialize`) and whether it learns (`learns_scale`).

    Q(v) = `project(normalize(v))`: a differentiable map that is the identity here, then the grid. Where the
    map changes the scale of v, `denormalize` undoes it; `in_weight_scale(v)` is Q(v) in the scale of v.

    Class attributes tell the engine more: `per_channel`, whether a weight gets one grid per channel where the
    spec allows it; `edge_quantizer`, the name of the quantizer of layers held at 8 bits, if not this one;
    `weight_decayed`, the names of parameters that weight decay acts on; `custom_backward`, that the backward
    differs from the straight-through rule, which replaces it while `ste_only` is true (to measure flatness).
    """

    learns_scale: ClassVar[bool] = False
    learning_roles: ClassVar[tuple[Role, ...]] = ("weight", "input")
    per_channel: ClassVar[bool] = True
    edge_quantizer: ClassVar[str | None] = None
    weight_decayed: ClassVar[tuple[str, ...]] = ()
    custom_backward: bool = False
    scale: Tensor
    bounds: Tensor

    def __init__(self, *, bits: int, role: Role, scale_shape: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.bits, self.role = bits, role
        self.qmin, self.qmax = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
        self.enabled = True
        self.ste_only = False
        self.observer: Observer | None = None
        scale = torch.ones(scale_shape)
        if self.learns_scale and role in self.learning_roles:
            self.scale = nn.Parameter(scale)
        else:
            self.register_buffer("scale", scale)
        self.register_buffer("bounds", torch.tensor([self.qmin, self.qmax]))
        self.register_load_state_dict_post_hook(_read_bounds)

    def forward(self, v: Tensor) -> Tensor:
        """The fake-quantized tensor; `v` itself while switched off or observing."""
        if self.observer is not None:
            self.observer.add(v.detach())
            return v
        return self.quantize(v) if self.enabled else v

    def right_inverse(self, v: Tensor) -> Tensor:
        """The identity: assigning a weight assigns the latent weight."""
        return v

    def quantize(self, v: Tensor) -> Tensor:
        return self.project(self.normalize(full_precision(v)))

    def normalize(self, v: Tensor) -> Tensor:
        """The map before the grid: differentiable, rising."""
        return v

    def denormalize(self, u: Tensor, v: Tensor) -> Tensor:
        """The inverse of `normalize`, with the constants that it took from `v`."""
        return u

    def project(self, u: Tensor) -> Tensor:
        """The level of each normalized value, with the gradient that training uses."""
        return fake_quantize(u, self.step_size, self.qmin, self.qmax, self.grad_factor(u))

    def codes(self, v: Tensor) -> Tensor:
        """Integer codes of `v`, int32, in low .. high; a larger code is a larger level."""
        return to_codes(self.normalize(full_precision(v)), self.step_size, self.qmin, self.qmax)

    def dequantize(self, codes: Tensor) -> Tensor:
        return from_codes(codes, self.step_size)

    def in_range(self, v: Tensor) -> Tensor:
        """Where `v` lies in the range of the grid, bounds included, as bool."""
        ratio = self.normalize(full_precision(v)) / self.step_size
        within: Tensor = (ratio >= self.qmin) & (ratio <= self.qmax)
        return within

    def in_weight_scale(self, v: Tensor) -> Tensor:
        """Q(v) in the scale of `v`: what a method may compare with `v` or put in its place."""
        return self.denormalize(self(v), v) if self.enabled else v

    @property
    def safe_scale(self) -> Tensor:
        """|scale|, at least SMALLEST_SCALE.

        The gradient passes at the floor too, so that a channel of zeros can come back to life.
        """
        size = self.scale.abs()
        return size + (SMALLEST_SCALE - size).clamp_min(0).detach()

    @property
    def step_size(self) -> Tensor:
        """The distance of two levels (their mean distance on a grid that is not uniform)."""
        return self.safe_scale

    def grad_factor(self, v: Tensor) -> float:
        """`grad_scale(v)`, or 1 while the plain rule is in force."""
        return 1.0 if self.ste_only else self.grad_scale(v)

    def grad_scale(self, v: Tensor) -> float:
        """The factor on the gradient of what is learned."""
        return 1.0

    def initialize(self, seen: Observer) -> None:
        """The quantizer's own starting point, from what was observed."""
        self.set_range(seen.low, seen.high)

    def set_range(self, low: Tensor, high: Tensor) -> None:
        """Let the grid cover [low, high], both of the scale's shape. Symmetric around zero by default."""
        self.set_scale(torch.maximum(-low / -self.qmin if self.qmin else low * 0, high / self.qmax))

    def set_scale(self, scale: Tensor) -> None:
        self.scale.data.copy_(scale.clamp_min(SMALLEST_SCALE))

    def set_signed(self, signed: bool) -> None:
        """Choose the bounds of an input that calibration saw negative, or never."""
        if signed:
            self.set_bounds(-(2 ** (self.bits - 1)), 2 ** (self.bits - 1) - 1)
        else:
            self.set_bounds(0, 2**self.bits - 1)

    def set_bounds(self, low: int, high: int) -> None:
        self.qmin, self.qmax = low, high
        self.bounds.copy_(torch.tensor([low, high]))

    @torch.no_grad()
    def calibrate(self, seen: Observer, rule: RangeInit = "own", percentile: float = 99.9) -> None:
        """Set the grid from observed values.

        `own` is the quantizer's own rule, `minmax` covers the whole range, `mse` takes the fraction of that
        range (0.20 to 1.00 in steps of 0.01) whose rounding error has the smallest mean square, `percentile`
        leaves out 100 − `percentile` percent of the values at each end.
        """
        if self.role == "input":
            self.set_signed(not bool((seen.low >= 0).all()))
        if rule == "own":
            self.initialize(seen)
        elif rule == "minmax":
            self.set_range(seen.low, seen.high)
        elif rule == "percentile":
            low, high = seen.quantile(1 - percentile / 100), seen.quantile(percentile / 100)
            self.set_range(low.clamp_max(0), high.clamp_min(0))
        else:
            self._search(seen)

    def _search(self, seen: Observer) -> None:
        values = seen.values
        best_error = torch.full_like(seen.low, torch.inf)
        best_fraction = torch.ones_like(seen.low)
        for fraction in MSE_FRACTIONS:
            self.set_range(seen.low * fraction, seen.high * fraction)
            error = seen.reduce((self.quantize(values) - values).square())
            better = error < best_error
            best_error = torch.where(better, error, best_error)
            best_fraction = torch.where(better, fraction, best_fraction)
        self.set_range(seen.low * best_fraction, seen.high * best_fraction)

    def extra_repr(self) -> str:
        return f"{self.role}, bits={self.bits}, levels {self.qmin}..{self.qmax}"


def _read_bounds(module: nn.Module, _: Any) -> None:
    assert isinstance(module, Quantizer)
    module.set_bounds(*(int(bound) for bound in module.bounds))
