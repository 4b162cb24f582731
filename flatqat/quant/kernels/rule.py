"""What one rounding does, apart from its tensors."""

from typing import NamedTuple

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
