"""Rademacher probes: vectors of independent signs."""

import torch
from torch import Generator, Tensor


def rademacher(like: Tensor, generator: Generator) -> Tensor:
    """Return entries of -1 or 1 in the shape, dtype and on the device of `like`, drawn on the CPU.

    Of all probes with E[z z^T] = I these give z.Hz the smallest variance, that of the off-diagonal entries.
    """
    bits = torch.randint(0, 2, like.shape, generator=generator, dtype=torch.int8)
    return (2 * bits - 1).to(like)
