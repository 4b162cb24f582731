"""Named tensors, and their entries as one vector in the order of the sorted names."""

from collections.abc import Callable

import torch
from torch import Tensor

Params = dict[str, Tensor]
LossFn = Callable[[Params], Tensor]
Progress = Callable[[int, int], None]  # (done, total)


def flatten(params: Params) -> Tensor:
    """Return all entries as one vector (n,). Raises ValueError if there are no tensors."""
    if not params:
        raise ValueError("expected at least one tensor in params, got none")
    return torch.cat([params[name].detach().reshape(-1) for name in sorted(params)])


def unflatten(vector: Tensor, like: Params) -> Params:
    """Return the entries of `vector` (n,) with the names, shapes and dtypes of `like`; inverts `flatten`."""
    names = sorted(like)
    parts = vector.split([like[name].numel() for name in names])
    return {name: part.view_as(like[name]).to(like[name]) for name, part in zip(names, parts, strict=True)}


def moved(params: Params, direction: Params, step: float) -> Params:
    """Return params + step * direction as new tensors, without a step for names not in `direction`."""
    return {
        name: value.detach().add(direction[name], alpha=step) if name in direction else value.detach()
        for name, value in params.items()
    }


def norm(params: Params) -> float:
    """Return the Euclidean norm of all entries, in float64 because small float32 squares underflow."""
    values = [torch.linalg.vector_norm(value, dtype=torch.float64) for value in params.values()]
    return float(torch.stack(values).norm())


def gaussian(like: Params, generator: torch.Generator) -> Params:
    """Return standard normal tensors in the shapes of `like`.

    They are drawn on the CPU in float32 and then converted, so that a seed gives the same numbers on every
    device and in every dtype. `generator` must be on the CPU.
    """
    return {
        name: torch.randn(like[name].shape, generator=generator, dtype=torch.float32).to(like[name])
        for name in sorted(like)
    }


def rademacher(like: Tensor, generator: torch.Generator) -> Tensor:
    """Return random signs, -1 or 1, in the shape, dtype and on the device of `like`, drawn on the CPU.

    Of all probes with independent entries of mean 0 and variance 1 these give z.Hz the smallest variance:
    that of the off-diagonal entries.
    """
    bits = torch.randint(0, 2, like.shape, generator=generator, dtype=torch.int8)
    return (2 * bits - 1).to(like)


def no_progress(done: int, total: int) -> None:
    """Report nothing."""
