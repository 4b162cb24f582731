"""Where a function that rounds changes its code, exactly: by bisection over the floating-point numbers."""

from collections.abc import Callable

import torch
from torch import Tensor

LARGEST = torch.finfo(torch.float32).max
SIGN = 0x80000000
STEPS = 33  # halvings of the 2^32 numbers


def thresholds(codes: Callable[[Tensor], Tensor], low: int, high: int) -> Tensor:
    """Return for each k from `low` to `high` - 1 the largest float32 number whose code is at most k.

    `codes` maps values (N,) to integers, element by element and without a smaller code for a larger value;
    otherwise the result is meaningless. It is inf where no number has a code above k, and -inf where none has
    a code of k or less.
    """
    wanted = torch.arange(low, high)
    below = order(torch.full(wanted.shape, -LARGEST))
    above = order(torch.full(wanted.shape, LARGEST))
    never, always = codes(number(above)) <= wanted, codes(number(below)) > wanted
    for _ in range(STEPS):
        middle = (below + above) // 2
        within = codes(number(middle)) <= wanted
        below, above = torch.where(within, middle, below), torch.where(within, above, middle)
    found = number(below).masked_fill(never, torch.inf)
    return found.masked_fill(always & ~never, -torch.inf)


def order(values: Tensor) -> Tensor:
    """Return the place of each float32 number among all of them, as int64; both zeros have place 0."""
    bits = values.view(torch.int32).to(torch.int64)
    return torch.where(bits >= 0, bits, -(bits + SIGN))


def number(place: Tensor) -> Tensor:
    """Return the float32 number at each place, the inverse of `order`."""
    bits = torch.where(place >= 0, place, -place - SIGN)
    return bits.to(torch.int32).view(torch.float32)
