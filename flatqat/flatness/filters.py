"""Filters: the index of the first axis of every tensor with two or more axes, each with its own norm.

Tensors of one axis or none (biases, BatchNorm) have no filters and are not moved (Li et al. 2018,
arXiv 1712.09913). What is scaled by these norms does not change when w_f -> c w_f in front of BatchNorm.
"""

import torch
from torch import Generator, Tensor

from flatqat.flatness.params import Params, gaussian


def with_filters(params: Params) -> Params:
    """The tensors that have filters, detached. Raises ValueError where there are none."""
    found = {name: value.detach() for name, value in params.items() if value.dim() >= 2}
    if not found:
        raise ValueError(f"expected a tensor with two or more axes, got {sorted(params)} with fewer")
    return found


def filter_norms(weight: Tensor) -> Tensor:
    """||w_f|| of every filter, in a shape that broadcasts against `weight`."""
    axes = tuple(range(1, weight.dim()))
    norms: Tensor = torch.linalg.vector_norm(weight, dim=axes, keepdim=True)
    return norms


def filter_direction(filters: Params, generator: Generator) -> Params:
    """d_f = ||w_f|| g_f / ||g_f|| with g_f ~ N(0, I): a random direction as long as each filter itself."""
    noise = gaussian(filters, generator)
    tiny = {name: torch.finfo(weight.dtype).tiny for name, weight in filters.items()}
    return {
        name: noise[name] * (filter_norms(weight) / filter_norms(noise[name]).clamp_min(tiny[name]))
        for name, weight in filters.items()
    }
