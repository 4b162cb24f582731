"""Whether processes that train together still have the same weights."""

import torch
from torch import Tensor, nn

from flatqat.bench.ranks.ranks import Ranks
from flatqat.errors import TrainingFailed

APART = 1e-3
"""The most that a value may be from that of another process, as a fraction of the largest in its tensor.

They are equal to the bit on equal machines. On others, last digits differ in every step.
"""


@torch.no_grad()
def check_same(model: nn.Module, ranks: Ranks) -> None:
    """Raise TrainingFailed, in all processes, if their models differ."""
    tensors = [tensor.detach().double().contiguous() for tensor in model.state_dict().values()]
    differing = sum(_differs(tensor, ranks) for tensor in tensors if tensor.numel())
    if ranks.sum_(tensors[0].new_full((1,), differing)).item():
        raise TrainingFailed(
            "expected the same weights in all processes, got others: a method must take the same step in "
            "each, and use its part of the batch for losses and gradients alone; train it without "
            "--distributed"
        )


def _differs(tensor: Tensor, ranks: Ranks) -> bool:
    first = ranks.of_leader_(tensor.clone())
    return bool((tensor - first).abs().max() > APART * first.abs().max())
