"""How much the loss rises when the weights are moved: on average, and along the steepest ascent."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

import torch
from torch import Tensor

from flatqat.flatness._derivatives import gradient, loss_values, mean_difference
from flatqat.flatness._params import Loss, Params, gaussian, moved, norm


@dataclass(frozen=True, slots=True, kw_only=True)
class Sharpness:
    """A rise of the loss, in units of loss.

    `loss` is L(w) itself: an under-trained network looks flat. `radius` is that of the perturbation, in the
    estimator's own unit. `stderr` is the standard error over `draws`, None where nothing is drawn.
    """

    value: float
    loss: float
    radius: float
    draws: int = 1
    stderr: float | None = None


def average_case(
    losses: Sequence[Loss], params: Params, *, radius: float, draws: int = 20, seed: int = 0
) -> Sharpness:
    """E[L(w + d) - L(w)] over filter-normalised Gaussian d; `radius` relative to each filter's norm.

    Each filter w_f, an index of the first axis of a tensor with two or more axes, is moved by
    d_f = radius ||w_f|| g_f / ||g_f||, g_f ~ N(0, I) (Li et al. 2018, arXiv 1712.09913). Tensors of one
    axis or none (biases, BatchNorm) stay. So w_f -> c w_f in front of BatchNorm changes nothing. On a
    quadratic with Hessian H the expectation is 0.5 sum_f radius^2 ||w_f||^2 tr(H_ff) / dim f.

    Each of `draws` directions is taken with both signs, 2 draws + 1 evaluations in all: the slope g.d
    cancels, which is of first order in the radius, while the curvature wanted is of second, and would
    drown in it away from a minimum. The two signs are one sample of the standard error. A seed gives every
    network of the same shapes the same directions, at every radius. Raises FloatingPointError when a loss
    is not finite.
    """
    if draws < 2 or radius < 0:
        raise ValueError(f"expected draws >= 2 and radius >= 0, got {draws} and {radius}")
    generator = torch.Generator().manual_seed(seed)
    filters = {name: value.detach() for name, value in params.items() if value.dim() >= 2}
    if not filters:
        raise ValueError(f"expected a tensor with two or more axes, got {sorted(params)} with fewer")
    base = loss_values(losses, params)
    rises = []
    for _ in range(draws):
        noise = gaussian(filters, generator)
        direction = {name: _filter_normalised(noise[name], value) for name, value in filters.items()}
        pair = (loss_values(losses, moved(params, direction, sign * radius)) for sign in (1, -1))
        rises.append(fmean(mean_difference(values, base) for values in pair))
    return Sharpness(
        value=fmean(rises),
        loss=fmean(base),
        radius=radius,
        draws=draws,
        stderr=stdev(rises) / math.sqrt(draws),
    )


def worst_case(losses: Sequence[Loss], params: Params, *, rho: float, adaptive: bool = False) -> Sharpness:
    """L(w + e) - L(w) for one ascent step e of all tensors in `params`; zero where the gradient is zero.

    SAM: e = rho g / ||g||, a Euclidean radius in units of weight (Foret et al. 2021, arXiv 2010.01412).
    Adaptive, ASAM: e = rho T^2 g / ||T g|| with T = |w| for every tensor, a relative radius that no
    rescaling of the weights changes (Kwon et al. 2021, arXiv 2102.11600); zero weights stay. Norms run over
    all tensors together. One step bounds the worst case from below, and may even go down on a curved
    surface. Raises FloatingPointError when a loss is not finite.
    """
    if rho < 0:
        raise ValueError(f"expected rho >= 0, got {rho}")
    base = loss_values(losses, params)
    ascent = gradient(losses, params)
    scales = {name: value.detach().abs() for name, value in params.items()} if adaptive else {}
    ascent = {name: slope * scales.get(name, 1.0) for name, slope in ascent.items()}
    length = norm(ascent)
    if length == 0:
        return Sharpness(value=0.0, loss=fmean(base), radius=rho)
    step = {name: slope / length * scales.get(name, 1.0) for name, slope in ascent.items()}
    value = mean_difference(loss_values(losses, moved(params, step, rho)), base)
    return Sharpness(value=value, loss=fmean(base), radius=rho)


def _filter_normalised(noise: Tensor, weight: Tensor) -> Tensor:
    """`noise` with each filter rescaled to the norm of the same filter of `weight`."""
    axes = tuple(range(1, weight.dim()))
    length: Tensor = torch.linalg.vector_norm(noise, dim=axes, keepdim=True)
    target: Tensor = torch.linalg.vector_norm(weight, dim=axes, keepdim=True)
    return noise * (target / length.clamp_min(torch.finfo(noise.dtype).tiny))
