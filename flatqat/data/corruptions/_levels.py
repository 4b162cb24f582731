"""Grey levels from numbers: rounded down, as the original's conversion to bytes does."""

import torch
from torch import Tensor

# Rounding of the last bit must not take a whole grey level off a value that is whole.
_NUDGE = 2.0**-13


def floor_(levels: Tensor) -> Tensor:
    """Whole grey levels, in place."""
    return levels.add_(_NUDGE).floor_()


def to_uint8(levels: Tensor) -> Tensor:
    """Numbers of any range, clipped and rounded down; overwrites them. Bytes are left as they are."""
    if levels.dtype == torch.uint8:
        return levels
    return levels.clamp_(0, 255).add_(_NUDGE).short().byte()
