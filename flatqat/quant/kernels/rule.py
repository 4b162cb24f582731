"""The constants of a rounding operation (`Rule`), and the tensors that it takes (`Grid`)."""

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

SMALLEST_SCALE = 1e-8


class Rule(NamedTuple):
    """The constants of v̂ = s · clip(round((v − β) / s), low, high) + β and of its gradient, see `formulas`.

    The fields are floats or booleans in the order in which the compiled kernels read them.

    Attributes:
        low: The smallest code.
        high: The largest code.
        factor: Multiplies the gradients of scale and offset.
        open_low: Whether a value exactly on the lower bound counts as outside the range.
        open_high: Whether a value exactly on the upper bound counts as outside the range.
        delta: By how much the distance to its level scales an element's gradient, as in EWGS.
        residual: Whether the rounding error enters the gradient of the scale, as in LSQ.
        divisor: The step size is the scale's magnitude divided by this, as in PACT.
    """

    low: float
    high: float
    factor: float = 1.0
    open_low: float = False
    open_high: float = False
    delta: float = 0.0
    residual: float = True
    divisor: float = 1.0


class Layout(NamedTuple):
    """A tensor as (outer, channels, inner) in memory, with one grid per channel."""

    outer: int
    channels: int
    inner: int


class Grid(NamedTuple):
    """Values and the grid that they are rounded to.

    Attributes:
        v: The values, of any shape.
        scale: What the rule makes step sizes from; broadcasts against `v`.
        offset: The level of code 0, of the shape of `scale`; None for zero.
        rule: The bounds and the gradient.
        layout: How the grids lie in the memory of `v`, where fused kernels take them.
    """

    v: "Tensor"
    scale: "Tensor"
    offset: "Tensor | None"
    rule: Rule
    layout: Layout | None = None
