"""Memory that runs out at a chosen allocation, or at every one for more images than fit."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Scarce(TorchDispatchMode):
    """Raises what CUDA does at the allocation number `at`, and at each whose tensor `lacks` memory.

    An allocation is an operator with a result that shares no memory with what it was given; `counted` is how
    many there were. Modes belong to a thread: others have all the memory that they want.
    """

    def __init__(self, at: int = 0, lacks: Callable[[Tensor], bool] = lambda result: False) -> None:
        super().__init__()
        self.at, self.lacks, self.counted = at, lacks, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        results = func(*args, **(kwargs or {}))
        given = set(map(place, tensors((args, kwargs))))
        new = [tensor for tensor in tensors(results) if place(tensor) not in given]
        self.counted += bool(new)
        if new and (self.counted == self.at or any(map(self.lacks, new))):
            raise torch.OutOfMemoryError(f"CUDA out of memory at {func}")
        return results


def tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor) and leaf.numel()]


def place(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()
