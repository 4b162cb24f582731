"""Value, gradient and Hessian-vector products of a loss that is the mean over chunks.

A gradient has only one chunk's graph in memory at a time; products keep as many as there is room for. Tensors
that a chunk does not use have zero derivatives. Functions raise ValueError without losses.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from flatqat.flatness.graph_size import graph_size
from flatqat.flatness.params import LossFn, Params, flatten, unflatten
from flatqat.memory import available_memory

MEMORY_SHARE = 0.5

Product = Callable[[Tensor], Tensor]


def loss_values(losses: Sequence[LossFn], params: Params) -> list[float]:
    """Return each chunk's loss at `params` without a graph, as floats, so sums and differences are float64.

    Raises FloatingPointError if one is not finite.
    """
    if not losses:
        raise ValueError("expected at least one loss, got none")
    with torch.no_grad():
        values = [float(loss(params)) for loss in losses]
    if not all(map(math.isfinite, values)):
        raise FloatingPointError(f"expected a finite loss, got {values}")
    return values


def mean_difference(values: Sequence[float], base: Sequence[float]) -> float:
    """Return the mean of values - base by chunk, so that equal digits cancel before anything is summed."""
    return sum(value - base_value for value, base_value in zip(values, base, strict=True)) / len(base)


def gradient(losses: Sequence[LossFn], params: Params) -> Params:
    """Return the gradient of the mean loss, in the shapes and dtypes of `params`."""
    return values_and_gradient(losses, params)[1]


def values_and_gradient(losses: Sequence[LossFn], params: Params) -> tuple[list[float], Params]:
    """Return each chunk's loss and the gradient of their mean, from one forward pass.

    Compare these values only with each other, because `loss_values` may use other kernels, without a graph.
    Raises FloatingPointError if a value or the gradient is not finite.
    """
    if not losses:
        raise ValueError("expected at least one loss, got none")
    leaves = _leaves(params)
    total = torch.zeros_like(flatten(params))
    values = []
    for loss in losses:
        value, grads = _gradient(loss, leaves, create_graph=False)
        values.append(value)
        total += flatten(grads)
    if not all(map(math.isfinite, values)) or not bool(total.isfinite().all()):
        raise FloatingPointError(f"expected a finite loss and gradient, got a loss of {values}")
    return values, unflatten(total / len(losses), params)


def hessian_product(losses: Sequence[LossFn], params: Params, *, memory: float | None = None) -> Product:
    """Return the map v -> H v of the mean loss at `params`, for vectors (n,) in the order of `flatten`.

    It uses double backward, H v = d(g(w) . v)/dw (Pearlmutter 1994), which is exact up to rounding. The graph
    of a chunk's gradient is kept for all products, which saves the forward and the first backward pass, if
    it fits into `memory` bytes with those of the chunks before; by default half of what is available. Other
    chunks rebuild theirs each time. A single chunk always keeps its graph.
    """
    if not losses:
        raise ValueError("expected at least one loss, got none")
    leaves = _leaves(params)
    kept = _kept_gradients(losses, leaves, memory)

    def product(vector: Tensor) -> Tensor:
        direction = unflatten(vector, params)
        total = torch.zeros_like(vector)
        for grads in kept:
            total += _backward(grads, leaves, direction, retain_graph=True)
        for loss in losses[len(kept) :]:
            # Not bound to a name, which would keep this chunk's graph while the next one is built.
            total += _backward(
                _gradient(loss, leaves, create_graph=True)[1], leaves, direction, retain_graph=False
            )
        return total / len(losses)

    return product


def _kept_gradients(losses: Sequence[LossFn], leaves: Params, memory: float | None) -> list[Params]:
    """Return the gradients of the first chunks, with their graphs, as many as `memory` has room for.

    All chunks are taken to be as large as the first one. If some are rebuilt, one of them also needs room.
    """
    if memory is None:
        memory = MEMORY_SHARE * available_memory(next(iter(leaves.values())).device)
    with graph_size() as size:
        first = _gradient(losses[0], leaves, create_graph=True)[1]
    room = len(losses) if len(losses) * size() <= memory else int(memory // size()) - 1
    if len(losses) > 1 and room < 1:
        return []
    return [first, *(_gradient(loss, leaves, create_graph=True)[1] for loss in losses[1:room])]


def _leaves(params: Params) -> Params:
    """Return new leaves with the same storage, so that the given tensors keep their flags and `.grad`."""
    return {name: value.detach().requires_grad_() for name, value in params.items()}


def _gradient(loss: LossFn, leaves: Params, *, create_graph: bool) -> tuple[float, Params]:
    # Fused attention has no double backward; only the plain implementation does.
    with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
        value = loss(leaves)
        if not value.requires_grad:
            return float(value), {name: torch.zeros_like(leaf) for name, leaf in leaves.items()}
        inputs = list(leaves.values())
        grads = torch.autograd.grad(value, inputs, create_graph=create_graph, materialize_grads=True)
    return float(value.detach()), dict(zip(leaves, grads, strict=True))


def _backward(grads: Params, leaves: Params, direction: Params, *, retain_graph: bool) -> Tensor:
    """Return d(grads . direction)/d(leaves) as one vector; gradients without a graph are constant."""
    pairs = [(grad, direction[name]) for name, grad in grads.items() if grad.requires_grad]
    if not pairs:
        return torch.zeros_like(flatten(leaves))
    outputs, vectors = zip(*pairs, strict=True)
    inputs = list(leaves.values())
    second = torch.autograd.grad(outputs, inputs, vectors, retain_graph=retain_graph, materialize_grads=True)
    return flatten(dict(zip(leaves, second, strict=True)))
