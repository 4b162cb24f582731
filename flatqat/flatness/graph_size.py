"""The size of a graph: the bytes of what autograd keeps for its backward passes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks


@contextmanager
def graph_size() -> Iterator[Callable[[], int]]:
    """Yield a function that returns the bytes saved for backward by operations within the context.

    Each storage counts once, parameters and inputs included. The hooks change nothing of what is saved, but
    keep it detached, as autograd itself does: an operation that saves its own result would otherwise hold the
    graph that the result holds, and neither would ever be freed. Autograd connects what it reads again.
    """
    storages: dict[int, int] = {}

    def seen(saved: Tensor) -> Tensor:
        storage = saved.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes()
        return saved.detach()

    with saved_tensors_hooks(seen, lambda saved: saved):
        yield lambda: sum(storages.values())
