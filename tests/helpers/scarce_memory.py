"""Memory that runs out at a chosen operation, or whenever a tensor has more images than fit."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


@dataclass
class Scarce(TorchDispatchMode):
    """Raises what CUDA does at the k-th operator within, or at each whose result `lacks` memory.

    `counted` is how many operators there were.
    """

    at: int = 0
    lacks: Callable[[Tensor], bool] = field(default=lambda result: False)
    counted: int = 0

    def __post_init__(self) -> None:
        super().__init__()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.counted += 1
        if self.counted == self.at:
            raise torch.OutOfMemoryError(f"CUDA out of memory at {func}")
        result = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor) and self.lacks(result):
            raise torch.OutOfMemoryError(f"CUDA out of memory in {func} for {tuple(result.shape)}")
        return result
