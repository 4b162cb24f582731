"""What every quantizer is: a module that maps one tensor to a grid of at most 2^bits levels."""

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from flatqat.quant._observe import Observer
from flatqat.quant._ops import fake_quantize, from_codes, to_codes

Role = Literal["weight", "input"]
Rule = Literal["own", "minmax", "mse", "percentile"]

MSE_FRACTIONS = [percent / 100 for percent in range(20, 101)]
SMALLEST_SCALE = 1e-8


class Quantizer(nn.Module):
    """A uniform grid s · {low, ..., high} for the weight or the input of one layer.

    `scale` has shape `scale_shape`: () for one scale per tensor, (C, 1, ...) for one per output channel.
    `low` and `high` are the integer bounds; calibration of an input may move them (unsigned, affine).
    Subclasses say how the scale starts (`initialise`) and whether it learns (`learns_scale`).
    """

    learns_scale: ClassVar[bool] = False
    scale: Tensor
    bounds: Tensor

    def __init__(self, *, bits: int, role: Role, scale_shape: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.bits, self.role = bits, role
        self.low, self.high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
        self.enabled = True
        self.scales_gradients = True
        self.observer: Observer | None = None
        scale = torch.ones(scale_shape)
        if self.learns_scale:
            self.scale = nn.Parameter(scale)
        else:
            self.register_buffer("scale", scale)
        self.register_buffer("bounds", torch.tensor([self.low, self.high]))
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
        factor = self.grad_scale(v) if self.scales_gradients else 1.0
        return fake_quantize(v, self.step_size, self.low, self.high, factor)

    def codes(self, v: Tensor) -> Tensor:
        """Integer codes of `v`, int32, in low .. high."""
        return to_codes(v, self.step_size, self.low, self.high)

    def dequantize(self, codes: Tensor) -> Tensor:
        return from_codes(codes, self.step_size)

    def inside(self, v: Tensor) -> Tensor:
        """Where `v` lies in the range of the grid, bounds included, as bool."""
        ratio = v / self.step_size
        within: Tensor = (ratio >= self.low) & (ratio <= self.high)
        return within

    @property
    def step_size(self) -> Tensor:
        """The distance of two levels: |scale|, at least SMALLEST_SCALE.

        The gradient passes at the floor too, so that a channel of zeros can come back to life.
        """
        size = self.scale.abs()
        return size + (SMALLEST_SCALE - size).clamp_min(0).detach()

    def grad_scale(self, v: Tensor) -> float:
        """The factor on the gradient of the scale."""
        return 1.0

    def initialise(self, seen: Observer) -> None:
        """The quantizer's own starting point, from what was observed."""
        self.set_range(seen.low, seen.high)

    def set_range(self, low: Tensor, high: Tensor) -> None:
        """Let the grid cover [low, high], both of the scale's shape. Symmetric around zero by default."""
        self.set_scale(torch.maximum(-low / -self.low if self.low else low * 0, high / self.high))

    def set_scale(self, scale: Tensor) -> None:
        self.scale.data.copy_(scale.clamp_min(SMALLEST_SCALE))

    def set_bounds(self, low: int, high: int) -> None:
        self.low, self.high = low, high
        self.bounds.copy_(torch.tensor([low, high]))

    @torch.no_grad()
    def calibrate(self, seen: Observer, rule: Rule = "own", percentile: float = 99.9) -> None:
        """Set the grid from observed values.

        `own` is the quantizer's own rule, `minmax` covers the whole range, `mse` takes the fraction of that
        range (0.20 to 1.00 in steps of 0.01) whose rounding error has the smallest mean square, `percentile`
        leaves out 100 − `percentile` percent of the values at each end.
        """
        if self.role == "input":
            if bool((seen.low >= 0).all()):
                self.set_bounds(0, 2**self.bits - 1)
            else:
                self.set_bounds(-(2 ** (self.bits - 1)), 2 ** (self.bits - 1) - 1)
        if rule == "own":
            self.initialise(seen)
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
        return f"{self.role}, bits={self.bits}, levels {self.low}..{self.high}"


def _read_bounds(module: nn.Module, _: Any) -> None:
    assert isinstance(module, Quantizer)
    module.low, module.high = (int(bound) for bound in module.bounds)
