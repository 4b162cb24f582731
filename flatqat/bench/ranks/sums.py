"""Sums over processes that autograd differentiates.

What is differentiated is the sum over the processes of what each of them computes. Each computes the loss of
the whole batch, so that the gradient of the loss is the mean over processes of what reaches a parameter. A
gradient that is the same in all of them, such as that of a regularizer, stays as it is.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from flatqat.bench.ranks.ranks import Ranks
from flatqat.quant.base import Quantizer


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor, ranks: Ranks) -> Tensor:
        ctx.ranks = ranks
        return ranks.sum_(tensor.detach().clone(memory_format=torch.contiguous_format))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return summed(grads[0], ctx.ranks), None


class _MeanOfGradients(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor, ranks: Ranks) -> Tensor:
        ctx.ranks = ranks
        return tensor.view_as(tensor)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return mean(grads[0], ctx.ranks), None


def summed(tensor: Tensor, ranks: Ranks) -> Tensor:
    """Return the sum of a tensor over all processes."""
    total: Tensor = _Sum.apply(tensor, ranks)
    return total


def mean(tensor: Tensor, ranks: Ranks) -> Tensor:
    """Return the mean of a tensor over all processes."""
    return summed(tensor, ranks) / ranks.size


class _Mean(nn.Module):
    """The identity, whose gradient is the mean over all processes."""

    def __init__(self, ranks: Ranks) -> None:
        super().__init__()
        self._ranks = ranks

    def forward(self, tensor: Tensor) -> Tensor:
        """Return `tensor`."""
        same: Tensor = _MeanOfGradients.apply(tensor, self._ranks)
        return same

    def right_inverse(self, tensor: Tensor) -> Tensor:
        """Return `tensor`."""
        return tensor


@contextmanager
def gradients_averaged(model: nn.Module, ranks: Ranks) -> Iterator[None]:
    """Make all gradients of a model's parameters means over all processes, however they are computed.

    That of a quantized weight is averaged before it passes back through the rounding, whose backward pass
    need not be linear, and where methods perturb it; so the weight gets the same gradient in all processes.
    """
    chains: list[Any] = [m for m in model.modules() if isinstance(m, parametrize.ParametrizationList)]
    chains = [chain for chain in chains if isinstance(chain[0], Quantizer)]
    behind = {id(chain.original) for chain in chains}
    for chain in chains:
        chain.append(_Mean(ranks))
    others = [p for p in model.parameters() if p.requires_grad and id(p) not in behind]
    hooks = [parameter.register_hook(lambda grad: mean(grad, ranks)) for parameter in others]
    try:
        yield
    finally:
        for chain in chains:
            del chain[-1]
        for hook in hooks:
            hook.remove()
