"""Steps in which each process has a part of the batch and computes what one process with all of it would.

Images of a batch meet in the loss, in BatchNorm and in random numbers. Within `WholeBatch`, PyTorch's own
functions for these know of the whole batch, in whatever module they are called; a model keeps its modules,
and its state.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from flatqat.bench.ranks.draws import Draws
from flatqat.bench.ranks.ranks import Ranks
from flatqat.bench.ranks.sums import gradients_averaged, summed
from flatqat.errors import TrainingFailed
from flatqat.metrics.loss import Loss, label_count


def rows_of(rank: int, size: int, whole: int) -> slice:
    """Return the rows of a batch of `whole` that belong to a process; their numbers differ by at most one."""
    least, more = divmod(whole, size)
    start = rank * least + min(rank, more)
    return slice(start, start + least + (rank < more))


class WholeBatch(TorchFunctionMode):
    """A context in which a model is trained on a part of each batch, `rows` of `whole`."""

    def __init__(self, ranks: Ranks, whole: int) -> None:
        super().__init__()
        self.ranks = ranks
        self.rows = rows_of(ranks.place.rank, ranks.size, whole)
        self._draws = Draws(self.rows, whole, ranks.size)
        self._calls: dict[Any, Callable[..., Any]] = {F.batch_norm: self._batch_norm}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call a function of PyTorch, or what replaces it."""
        if (call := self._calls.get(func)) is None:
            call = self._calls[func] = self._draws.instead_of(func)
        return call(*args, **(kwargs or {}))

    def on(self, model: nn.Module) -> AbstractContextManager[None]:
        """Return a context for training a model this way. Raises TrainingFailed if it cannot be."""
        if any(isinstance(module, nn.SyncBatchNorm) for module in model.modules()):
            raise TrainingFailed(
                "expected BatchNorm, which --distributed synchronizes by itself, got SyncBatchNorm; "
                "build the network with nn.BatchNorm2d"
            )
        return gradients_averaged(model, self.ranks)

    def mean_of(self, loss: Loss) -> Callable[[Any, Tensor], Tensor]:
        """Return the mean loss over the images, or labeled pixels, of the whole batch."""

        def of_whole(output: Any, labels: Tensor) -> Tensor:
            total = loss(output, labels, reduction="sum")
            count = torch.full_like(total, label_count(labels), dtype=torch.double)
            whole, labeled = summed(torch.stack([total.double(), count]), self.ranks)
            mean: Tensor = whole / labeled.clamp_min(1)
            return mean.to(total.dtype)

        return of_whole

    def _batch_norm(
        self,
        input: Tensor,
        running_mean: Tensor | None = None,
        running_var: Tensor | None = None,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        training: bool = False,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> Tensor:
        """Normalize by mean and variance over the whole batch (Ioffe & Szegedy 2015, algorithm 1)."""
        if not training:
            return F.batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
        x = input if input.dtype.itemsize >= 4 else input.float()
        axes, shape, channels = [0, *range(2, x.ndim)], [1, -1, *[1] * (x.ndim - 2)], x.shape[1]
        own = torch.cat([x.sum(axes), x.new_full((1,), x.numel() / channels)])
        sums, count = summed(own, self.ranks).split([channels, 1])
        mean = sums / count
        centered = x - mean.view(shape)
        variance = summed(centered.square().sum(axes), self.ranks) / count
        factor = (variance + eps).rsqrt()
        result: Tensor = centered * (factor if weight is None else factor * weight).view(shape)
        with torch.no_grad():
            for running, new in ((running_mean, mean), (running_var, variance * count / (count - 1))):
                if running is not None:
                    running.lerp_(new.to(running.dtype), momentum)
        return (result if bias is None else result + bias.view(shape)).to(input.dtype)
