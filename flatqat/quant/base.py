"""The base class of quantizers: modules that map one tensor to a grid of at most 2^bits levels."""

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from flatqat.quant.kernels import dispatch
from flatqat.quant.kernels.rule import SMALLEST_SCALE as SMALLEST_SCALE
from flatqat.quant.kernels.rule import Grid, Rule
from flatqat.quant.observe import Observer
from flatqat.quant.ops import fake_quantize_by, from_codes, full_precision, in_range_by, to_codes
from flatqat.quant.search import best_fraction

Role = Literal["weight", "input"]
RangeInit = Literal["own", "minmax", "mse", "percentile"]
RANGES: RangeInit = "mse"
PERCENTILE = 99.9
"""How methods set ranges, unless their settings say otherwise."""


class Quantizer(nn.Module):
    """A uniform grid s · {qmin, ..., qmax} for the weight or the input of one layer.

    Subclasses define how the scale is initialized (`initialize`) and whether it is learned (`learns_scale`).
    Q(v) = `project(normalize(v))`: a differentiable map, the identity by default, followed by the grid. If
    the map changes the scale of v, `denormalize` inverts it; `in_weight_scale(v)` is Q(v) in the scale of v.

    Attributes:
        scale: Step size s: of shape () for one per tensor, (C, 1, ...) for one per output channel.
        qmin: Smallest integer code; calibration of an input may change it (unsigned or affine grids).
        qmax: Largest integer code.
        channel_axis: The axis of a weight's output channels.
        calibrated: Whether anything has set the grid.
        learns_scale: Whether `scale` is a parameter (else a buffer), for the roles in `learning_roles`.
        per_channel: Whether a weight gets one grid per output channel where the `QuantSpec` allows it.
        open_ends: Whether a value exactly on the lower and on the upper bound counts as outside the range.
        version: Increased whenever the same input gives different numbers, here or in its edge quantizer. The
            order of a sum does not count: it differs between processors and releases of torch, too.
        edge_quantizer: Name of the quantizer for layers kept at 8 bits; None for this quantizer itself.
        weight_decayed: Names of the quantizer's parameters that weight decay applies to.
        custom_backward: Whether the backward pass differs from the straight-through estimator.
        ste_only: While true, this estimator is used and gradient factors are 1, to measure curvature.
    """

    learns_scale: ClassVar[bool] = False
    learning_roles: ClassVar[tuple[Role, ...]] = ("weight", "input")
    per_channel: ClassVar[bool] = True
    open_ends: tuple[bool, bool] = (False, False)
    version: ClassVar[int] = 1
    edge_quantizer: ClassVar[str | None] = None
    weight_decayed: ClassVar[tuple[str, ...]] = ()
    custom_backward: bool = False
    scale: Tensor
    bounds: Tensor

    def __init__(self, *, bits: int, role: Role, scale_shape: tuple[int, ...] = ()) -> None:
        """Create a quantizer of 2 to 8 bits with scale 1, to be set by `calibrate`."""
        super().__init__()
        self.bits, self.role = bits, role
        half: int = 2 ** (bits - 1)
        self.qmin, self.qmax = -half, half - 1
        self.enabled, self.ste_only = True, False
        self.calibrated, self.channel_axis = False, 0
        self.observer: Observer | None = None
        scale = torch.ones(scale_shape)
        if self.learns_scale and role in self.learning_roles:
            self.scale = nn.Parameter(scale)
        else:
            self.register_buffer("scale", scale)
        self.register_buffer("bounds", torch.tensor([self.qmin, self.qmax]))
        self.register_load_state_dict_post_hook(_read_bounds)

    def forward(self, v: Tensor) -> Tensor:
        """Return Q(v), or `v` itself while the quantizer is disabled or observing."""
        if self.observer is not None:
            self.observer.add(v.detach())
            return v
        return self.quantize(v) if self.enabled else v

    def right_inverse(self, v: Tensor) -> Tensor:
        """Return `v`: assigning to a quantized weight sets the latent weight."""
        return v

    def quantize(self, v: Tensor) -> Tensor:
        """Return Q(v), decided in at least float32."""
        return self.project(v if self.projects_directly else self.normalize(full_precision(v)))

    @property
    def projects_directly(self) -> bool:
        """Whether neither `normalize` nor `project` is overridden, so that v is rounded as it is."""
        return type(self).normalize is Quantizer.normalize and type(self).project is Quantizer.project

    @property
    def only_rounds(self) -> bool:
        """Whether Q(v) is nothing but the rounding of v by the rule."""
        return self.projects_directly and type(self).quantize is Quantizer.quantize

    def normalize(self, v: Tensor) -> Tensor:
        """Map `v` before it is put on the grid; must be differentiable and increasing."""
        return v

    def denormalize(self, u: Tensor, v: Tensor) -> Tensor:
        """Invert `normalize` on `u`, with the constants that `normalize` derives from `v`."""
        return u

    def project(self, u: Tensor) -> Tensor:
        """Return the level of each normalized value, with the gradient used in training."""
        grid = self._grid(u)
        return fake_quantize_by(grid.rule, u, grid.scale, grid.offset)

    def rule(self, u: Tensor) -> Rule:
        """Return the bounds and the gradient of the grid for normalized values."""
        return Rule(
            self.qmin, self.qmax, self.grad_factor(u), *self.open_ends, divisor=float(self.step_divisor)
        )

    def codes(self, v: Tensor) -> Tensor:
        """Return the int32 codes of `v`, from qmin to qmax; a larger code means a larger level."""
        return to_codes(self._minus_offset(v), self.step_size, self.qmin, self.qmax)

    def dequantize(self, codes: Tensor) -> Tensor:
        """Return the level of each code."""
        levels = from_codes(codes, self.step_size)
        return levels if self.grid_offset is None else levels + self.grid_offset

    def in_range(self, v: Tensor) -> Tensor:
        """Return a boolean tensor: whether each value is within the range of the grid; see `open_ends`."""
        u = self.normalize(full_precision(v))
        return in_range_by(self.rule(u), u, self._grid_scale, self.grid_offset)

    def _minus_offset(self, v: Tensor) -> Tensor:
        u = self.normalize(full_precision(v))
        return u if self.grid_offset is None else u - self.grid_offset

    def _grid(self, u: Tensor) -> Grid:
        """Return normalized values with what they are rounded by."""
        return Grid(u, self._grid_scale, self.grid_offset, self.rule(u))

    @property
    def _grid_scale(self) -> Tensor:
        """What the rule makes the step size from: `scale`, or what a subclass has as its step size."""
        if type(self).step_size is not Quantizer.step_size:
            return self.step_size
        return self.scale if type(self).safe_scale is Quantizer.safe_scale else self.safe_scale

    @property
    def rescales(self) -> bool:
        """Whether Q(w) is on another scale than the weight w, which BatchNorm statistics have to follow."""
        return self.role == "weight" and type(self).denormalize is not Quantizer.denormalize

    def in_weight_scale(self, v: Tensor) -> Tensor:
        """Return Q(v) in the scale of `v`, which can be compared with `v` or replace it."""
        return self.denormalize(self(v), v) if self.enabled else v

    def attract_(
        self, grad: Tensor, anchor: Tensor, v: Tensor, level: Tensor, beta: float, coefficient: float
    ) -> None:
        """Move `anchor` by the fraction `beta` to `level` = Q(v), and add its pull to `grad`, both in place.

        The pull is coefficient · (Q(v) − anchor), and zero where `v` is outside the range of the grid.
        """
        if type(self).in_range is Quantizer.in_range and type(self).normalize is Quantizer.normalize:
            dispatch.attract_(self._grid(v), grad, anchor, level, beta, coefficient)
        else:
            anchor.lerp_(level, beta)
            grad.add_((level - anchor).mul_(self.in_range(v)).mul_(coefficient))

    @property
    def grid_offset(self) -> Tensor | None:
        """The level of code 0, added to s · code; None if it is zero."""
        return None

    @property
    def safe_scale(self) -> Tensor:
        """|scale|, at least SMALLEST_SCALE, where the gradient also passes: the scale can still grow."""
        size = self.scale.abs()
        return size + (SMALLEST_SCALE - size).clamp_min(0).detach()

    @property
    def step_size(self) -> Tensor:
        """The distance between adjacent levels (the mean distance on a non-uniform grid)."""
        return self.safe_scale if self.step_divisor == 1 else self.safe_scale / self.step_divisor

    @property
    def step_divisor(self) -> int:
        """How many steps `scale` has: 1, unless it is a bound and not the step size itself."""
        return 1

    def grad_factor(self, v: Tensor) -> float:
        """Return `grad_scale(v)`, or 1 while `ste_only` is true."""
        return 1.0 if self.ste_only else self.grad_scale(v)

    def grad_scale(self, v: Tensor) -> float:
        """Return the factor by which the gradients of learned parameters are multiplied."""
        return 1.0

    def initialize(self, observed: Observer) -> None:
        """Set the grid from observed values by the quantizer's own initialization (`ranges=own`)."""
        self.set_range(observed.low, observed.high)

    def set_range(self, low: Tensor, high: Tensor) -> None:
        """Make the grid cover [low, high], tensors of the scale's shape; symmetric around zero by default.

        It depends on nothing but these bounds: the search for ranges tries many of them.
        """
        self.set_scale(torch.maximum(-low / -self.qmin if self.qmin else low * 0, high / self.qmax))

    def set_scale(self, scale: Tensor) -> None:
        """Set the scale, of at least SMALLEST_SCALE, in place."""
        self.scale.data.copy_(scale.clamp_min(SMALLEST_SCALE))
        self.calibrated = True

    def set_signed(self, signed: bool) -> None:
        """Use the signed or the unsigned grid; calibration of an input calls this."""
        below = 2 ** (self.bits - 1) if signed else 0
        self.set_bounds(-below, 2**self.bits - 1 - below)

    def set_bounds(self, low: int, high: int) -> None:
        """Set `qmin` and `qmax`, which are stored in the state dict."""
        self.qmin, self.qmax = low, high
        self.bounds.copy_(torch.tensor([low, high]))

    @torch.no_grad()
    def calibrate(
        self, observed: Observer, range_init: RangeInit = "own", percentile: float = PERCENTILE
    ) -> None:
        """Set the grid from observed values.

        With `range_init`, `own` calls `initialize`, `minmax` covers the whole range, and `mse` takes the
        fraction of that range with the smallest mean squared rounding error: of 0.20 to 1.00 in steps of
        0.01, and below, where single outliers make up the range, down to 0.001 in steps of 10%.
        `percentile` leaves out 100 − `percentile` percent of the values at each end.
        """
        if self.role == "input":
            self.set_signed(not bool((observed.low >= 0).all()))
        if range_init == "own":
            self.initialize(observed)
        elif range_init == "minmax":
            self.set_range(observed.low, observed.high)
        elif range_init == "percentile":
            low, high = observed.quantile(1 - percentile / 100), observed.quantile(percentile / 100)
            self.set_range(low.clamp_max(0), high.clamp_min(0))
        else:
            self._search(observed)

    def _search(self, observed: Observer) -> None:
        """Cover the fraction of the whole range with the smallest error."""
        fraction = best_fraction(self, observed)
        self.set_range(observed.low * fraction, observed.high * fraction)

    def extra_repr(self) -> str:
        """Return role, bit width and bounds for `repr`."""
        return f"{self.role}, bits={self.bits}, levels {self.qmin}..{self.qmax}"


def _read_bounds(module: Any, _: Any) -> None:
    module.set_bounds(*module.bounds.tolist())
    module.calibrated = True
