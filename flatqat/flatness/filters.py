"""Filters w_f: the slices along the first axis of every tensor with two or more axes.

Tensors with fewer axes (biases, BatchNorm) are not moved. A perturbation scaled by the norms of the filters
is invariant to w_f -> c w_f in front of BatchNorm. Source: Li et al. 2018 (arXiv 1712.09913).
"""

import torch
from torch import Generator, Tensor

from flatqat.flatness.params import Params, gaussian


def with_filters(params: Params) -> Params:
    """Return the tensors that have filters, detached. Raises ValueError if there are none."""
    filters = {name: value.detach() for name, value in params.items() if value.dim() >= 2}
    if not filters:
        raise ValueError(f"expected a tensor with two or more axes, got {sorted(params)} with fewer")
    return filters


def filter_norms(weight: Tensor) -> Tensor:
    """Return ||w_f|| of every filter, in a shape that broadcasts to that of `weight`."""
    norms: Tensor = torch.linalg.vector_norm(weight, dim=tuple(range(1, weight.dim())), keepdim=True)
    return norms


def filter_direction(filters: Params, generator: Generator) -> Params:
    """Return a random direction with the norms of the filters: d_f = ||w_f|| g_f / ||g_f||, g_f ~ N(0, I)."""
    direction = gaussian(filters, generator)
    for name, weight in filters.items():
        norms = filter_norms(direction[name]).clamp_min(torch.finfo(weight.dtype).tiny)
        direction[name] = direction[name] * (filter_norms(weight) / norms)
    return direction
