"""Named tensors as one vector, in the order of the sorted names."""

from collections.abc import Callable

import torch
from torch import Tensor

Params = dict[str, Tensor]
LossFn = Callable[[Params], Tensor]
Progress = Callable[[int, int], None]  # (done, most)


def flatten(params: Params) -> Tensor:
    """All entries as one vector (n,). Needs at least one tensor, all on one device."""
    if not params:
        raise ValueError("expected at least one tensor in params, got none")
    return torch.cat([params[name].detach().reshape(-1) for name in sorted(params)])


def unflatten(vector: Tensor, like: Params) -> Params:
    """The inverse of `flatten`: names, shapes and dtypes of `like`, entries of `vector` (n,)."""
    names = sorted(like)
    parts = vector.split([like[name].numel() for name in names])
    return {
        name: part.view(like[name].shape).to(like[name].dtype)
        for name, part in zip(names, parts, strict=True)
    }


def moved(params: Params, direction: Params, step: float) -> Params:
    """params + step * direction, as new tensors; names absent from `direction` stay as they are."""
    return {
        name: value.detach().add(direction[name], alpha=step) if name in direction else value.detach()
        for name, value in params.items()
    }


def norm(params: Params) -> float:
    """Euclidean norm over all entries, summed in float64: squares of small float32 gradients underflow."""
    values = [torch.linalg.vector_norm(value, dtype=torch.float64) for value in params.values()]
    return float(torch.stack(values).norm())


def gaussian(like: Params, generator: torch.Generator) -> Params:
    """Standard normal tensors in the shapes of `like`.

    Drawn on the CPU in float32 and then moved, so that a seed gives the same numbers on every device and in
    every dtype. `generator` must be a CPU one.
    """
    return {
        name: torch.randn(like[name].shape, generator=generator, dtype=torch.float32).to(like[name])
        for name in sorted(like)
    }
