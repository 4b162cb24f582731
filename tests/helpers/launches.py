"""What a GPU would be asked for: kernels that are launched, and waits of the host for a result.

Operators are counted below autograd, backward passes and optimizers included. One on a list of tensors
(`torch._foreach_*`) counts once, as on a GPU, where it is one launch for up to a hundred tensors or so.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

NO_KERNEL = {"empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided"}
WAITS = {
    "_local_scalar_dense",
    "is_nonzero",
    "equal",
    "nonzero",
    "masked_select",
    "bincount",
}  # the first: item
TO_HOST = {Tensor.tolist, Tensor.cpu, Tensor.numpy}


@dataclass
class Launches:
    """Operators that run a kernel, and those that wait, by name in order."""

    kernels: list[str] = field(default_factory=list)
    waits: list[str] = field(default_factory=list)


class _Operators(TorchDispatchMode):
    def __init__(self, seen: Launches) -> None:
        super().__init__()
        self.seen = seen

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func._schema.name.removeprefix("aten::")
        is_view = any(r.alias_info is not None and not r.alias_info.is_write for r in func._schema.returns)
        if name in WAITS:
            self.seen.waits.append(name)
        elif not is_view and name not in NO_KERNEL:
            self.seen.kernels.append(name)
        return func(*args, **(kwargs or {}))


class _Methods(TorchFunctionMode):
    def __init__(self, seen: Launches) -> None:
        super().__init__()
        self.seen = seen

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in TO_HOST:
            self.seen.waits.append(func.__name__)
        return func(*args, **(kwargs or {}))


@contextmanager
def launches() -> Iterator[Launches]:
    """Count what operations within the context would launch, and where they would wait."""
    seen = Launches()
    with _Methods(seen), _Operators(seen), torch.autograd.set_multithreading_enabled(False):
        yield seen
