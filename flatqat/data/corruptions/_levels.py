"""Gray levels from numbers, rounded down as the original's conversion to bytes does."""

import torch
from torch import Tensor

# Rounding of the last bit must not reduce a whole gray level to the next lower one.
_NUDGE = 2.0**-13


def floor_(levels: Tensor) -> Tensor:
    """Round to whole gray levels, in place."""
    return levels.add_(_NUDGE).floor_()


def store(levels: Tensor, out: Tensor) -> None:
    """Clip numbers of any range, round them down and write them to bytes `out`; bytes are copied."""
    out.copy_(levels if levels.dtype == torch.uint8 else levels.clamp_(0, 255).add_(_NUDGE).short())
