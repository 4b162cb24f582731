"""Value, gradient and Hessian-vector products of a loss that is the mean of chunks.

One chunk's graph is alive at a time. Tensors that a chunk does not use have zero derivatives.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from flatqat.flatness.params import LossFn, Params, flatten, unflatten

Product = Callable[[Tensor], Tensor]


def loss_values(losses: Sequence[LossFn], params: Params) -> list[float]:
    """Each chunk's loss at `params`, without a graph; Python floats, so sums and differences are float64.

    Raises FloatingPointError when one is not finite.
    """
    if not losses:
        raise ValueError("expected at least one loss, got none")
    with torch.no_grad():
        values = [float(loss(params)) for loss in losses]
    if not all(map(math.isfinite, values)):
        raise FloatingPointError(f"expected a finite loss, got {values}")
    return values


def mean_difference(values: Sequence[float], base: Sequence[float]) -> float:
    """Mean of values - base, chunk by chunk: equal digits cancel before anything is summed."""
    return sum(value - start for value, start in zip(values, base, strict=True)) / len(base)


def gradient(losses: Sequence[LossFn], params: Params) -> Params:
    """Gradient of the mean loss, in the shapes and dtypes of `params`."""
    return values_and_gradient(losses, params)[1]


def values_and_gradient(losses: Sequence[LossFn], params: Params) -> tuple[list[float], Params]:
    """Each chunk's loss and the gradient of their mean, of one forward pass.

    Compare these values with each other: other kernels may run without a graph, as in `loss_values`. Raises
    FloatingPointError when a value or the gradient is not finite.
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


def hessian_product(losses: Sequence[LossFn], params: Params) -> Product:
    """The map v -> H v of the mean loss at `params`, for vectors (n,) in the order of `flatten`.

    Double backward, H v = d(g(w) . v)/dw (Pearlmutter 1994), exact up to rounding. A single chunk keeps the
    graph of its gradient from one product to the next, which spares the forward and first backward pass;
    several chunks rebuild theirs each time, which spares memory.
    """
    if not losses:
        raise ValueError("expected at least one loss, got none")
    leaves = _leaves(params)
    kept = _gradient(losses[0], leaves, create_graph=True)[1] if len(losses) == 1 else None

    def product(vector: Tensor) -> Tensor:
        along = unflatten(vector, params)
        total = torch.zeros_like(vector)
        for loss in losses:
            # Not bound to a name: it would hold this chunk's graph while the next one's is built.
            total += _backward(
                kept or _gradient(loss, leaves, create_graph=True)[1], leaves, along, retain_graph=bool(kept)
            )
        return total / len(losses)

    return product


def _leaves(params: Params) -> Params:
    """The same storage as new leaves, so that the tensors given keep their flags and their `.grad`."""
    return {name: value.detach().requires_grad_() for name, value in params.items()}


def _gradient(loss: LossFn, leaves: Params, *, create_graph: bool) -> tuple[float, Params]:
    # Fused attention has no double backward; only the plain one can be differentiated twice.
    with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
        value = loss(leaves)
        if not value.requires_grad:
            return float(value), {name: torch.zeros_like(leaf) for name, leaf in leaves.items()}
        grads = torch.autograd.grad(
            value, list(leaves.values()), create_graph=create_graph, materialize_grads=True
        )
    return float(value.detach()), dict(zip(leaves, grads, strict=True))


def _backward(grads: Params, leaves: Params, along: Params, *, retain_graph: bool) -> Tensor:
    """d(grads . along)/d(leaves) as one vector; gradients without a graph are constant and add nothing."""
    names = [name for name, grad in grads.items() if grad.requires_grad]
    if not names:
        return torch.zeros_like(flatten(leaves))
    second = torch.autograd.grad(
        [grads[name] for name in names],
        list(leaves.values()),
        grad_outputs=[along[name] for name in names],
        retain_graph=retain_graph,
        materialize_grads=True,
    )
    return flatten(dict(zip(leaves, second, strict=True)))
