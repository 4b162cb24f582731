"""Whether processes that train together still have the same weights, and draw the same random numbers."""

from zlib import crc32

import torch
from torch import Tensor, nn

from flatqat.bench.ranks.draws import states
from flatqat.bench.ranks.ranks import Ranks
from flatqat.errors import TrainingFailed

APART = 1e-3
"""How far values of two processes may differ, as a fraction of the largest value in their tensor.

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


def check_same_draws(device: torch.device, ranks: Ranks) -> None:
    """Raise TrainingFailed, in all processes, if layers have drawn other random numbers in one of them."""
    digest = crc32(b"".join(state.numpy().tobytes() for state in states()))
    own = torch.tensor([digest], dtype=torch.double, device=device)
    differing = (own != ranks.of_leader_(own.clone())).double()
    if ranks.sum_(differing).item():
        raise TrainingFailed(
            "expected the same random numbers in all processes, got others: a layer draws them in a way that "
            "--distributed cannot divide among processes; train it without"
        )


def _differs(tensor: Tensor, ranks: Ranks) -> bool:
    """Whether values differ too much; NaN at the same place does not, and is for the loss to report."""
    first = ranks.of_leader_(tensor.clone())
    same = (tensor == first) | (tensor.isnan() & first.isnan())
    farthest = (tensor - first).abs().masked_fill(same, 0).max()
    return not farthest <= APART * first.nan_to_num(0, 0, 0).abs().max()  # not even where it is NaN
