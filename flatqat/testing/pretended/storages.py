"""What is known of storages, for as long as they live.

A tag belongs to the storage, so views, `.data`, parameters and what autograd keeps have it by themselves.
"""

from typing import Any, Generic, TypeVar

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef

V = TypeVar("V")
PURGE_EVERY = 4096  # entries, after which those of storages that are gone are dropped


class Storages(Generic[V]):
    """A value for each storage. A weak reference keeps its address from being given to another one."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[StorageWeakRef, V]] = {}
        self._added = 0

    def get(self, tensor: Tensor) -> V | None:
        """Return what is known of a tensor's storage, or None."""
        storage = storage_of(tensor)
        found = None if storage is None else self._known.get(storage._cdata)
        return None if found is None else found[1]

    def put(self, tensor: Tensor, value: V) -> None:
        """Say what is known of a tensor's storage."""
        storage = storage_of(tensor)
        if storage is None:
            return
        self._known[storage._cdata] = StorageWeakRef(storage), value
        self._added += 1
        if self._added % PURGE_EVERY == 0:
            self._known = {key: held for key, held in self._known.items() if not held[0].expired()}


def storage_of(tensor: Tensor) -> Any:
    """Return the storage of a tensor, of the one inside if functorch wraps it; None if it has none."""
    with torch._C.DisableTorchFunction():
        while torch._C._functorch.is_functorch_wrapped_tensor(tensor):
            tensor = torch._C._functorch.get_unwrapped(tensor)
        try:
            return tensor.untyped_storage()
        except (NotImplementedError, RuntimeError):  # of sparse tensors
            return None
