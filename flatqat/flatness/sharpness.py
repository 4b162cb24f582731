"""Sharpness: the increase of the loss under random perturbations, and along one step of ascent."""

from collections.abc import Sequence
from statistics import fmean

import torch

from flatqat.flatness.derivatives import gradient, loss_values, mean_difference
from flatqat.flatness.filters import filter_direction, with_filters
from flatqat.flatness.loss_increase import LossIncrease, Pair, mean_loss_increase
from flatqat.flatness.params import LossFn, Params, Progress, moved, no_progress, norm


def average_case_sharpness(
    losses: Sequence[LossFn],
    params: Params,
    *,
    radius: float,
    draws: int = 20,
    seed: int = 0,
    progress: Progress = no_progress,
) -> LossIncrease:
    """Return E[L(w + d) - L(w)] for filter-normalized Gaussian d, with `radius` relative to filter norms.

    Each filter w_f, a slice along the first axis of a tensor with two or more axes, moves by
    d_f = radius ||w_f|| g_f / ||g_f||, g_f ~ N(0, I) (Li et al. 2018, arXiv 1712.09913). Tensors with at most
    one axis (biases, BatchNorm) stay fixed. So the value is invariant to w_f -> c w_f in front of BatchNorm.
    On a quadratic with Hessian H the expectation is 0.5 sum_f radius^2 ||w_f||^2 tr(H_ff) / dim f.

    Each of `draws` directions is used with both signs, see `mean_loss_increase`. A seed gives all networks of
    the same shapes the same directions at every radius. Raises FloatingPointError if a loss is not finite,
    and ValueError if the radius is negative, `draws` < 2 or there are no filters.
    """
    if radius < 0:
        raise ValueError(f"expected radius >= 0, got {radius}")
    filters = with_filters(params)
    generator = torch.Generator().manual_seed(seed)

    def perturbed() -> Pair:
        direction = filter_direction(filters, generator)
        return moved(params, direction, radius), moved(params, direction, -radius)

    return mean_loss_increase(losses, params, perturbed, radius=radius, draws=draws, progress=progress)


def one_step_sharpness(
    losses: Sequence[LossFn], params: Params, *, rho: float, adaptive: bool = False
) -> LossIncrease:
    """Return L(w + e) - L(w) for one ascent step e of all tensors in `params`, or 0 if the gradient is 0.

    SAM has e = rho g / ||g||, a Euclidean radius in units of weight (Foret et al. 2021, arXiv 2010.01412).
    With `adaptive`, ASAM has e = rho T^2 g / ||T g|| with T = |w|, a relative radius that is invariant to the
    scale of the weights (Kwon et al. 2021, arXiv 2102.11600); zero weights stay fixed. Norms are over all
    tensors together. One step is a lower bound of the worst case, and may even decrease a curved loss. Raises
    FloatingPointError if a loss or gradient is not finite, and ValueError if `rho` is negative.
    """
    if rho < 0:
        raise ValueError(f"expected rho >= 0, got {rho}")
    base = loss_values(losses, params)
    scales = {name: value.detach().abs() for name, value in params.items()} if adaptive else {}
    ascent = {name: slope * scales.get(name, 1.0) for name, slope in gradient(losses, params).items()}
    ascent_norm = norm(ascent)
    if ascent_norm == 0:
        return LossIncrease(value=0.0, loss=fmean(base), radius=rho)
    step = {name: slope / ascent_norm * scales.get(name, 1.0) for name, slope in ascent.items()}
    value = mean_difference(loss_values(losses, moved(params, step, rho)), base)
    return LossIncrease(value=value, loss=fmean(base), radius=rho)
