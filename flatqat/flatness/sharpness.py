"""How much the loss rises when the weights are moved: on average, and along the steepest ascent."""

from collections.abc import Iterator, Sequence
from statistics import fmean

import torch

from flatqat.flatness.derivatives import gradient, loss_values, mean_difference
from flatqat.flatness.filters import filter_direction, with_filters
from flatqat.flatness.loss_increase import LossIncrease, mean_loss_increase
from flatqat.flatness.params import LossFn, Params, Progress, moved, norm


def average_case_sharpness(
    losses: Sequence[LossFn],
    params: Params,
    *,
    radius: float,
    draws: int = 20,
    seed: int = 0,
    progress: Progress | None = None,
) -> LossIncrease:
    """E[L(w + d) - L(w)] over filter-normalised Gaussian d; `radius` relative to each filter's norm.

    Each filter w_f, an index of the first axis of a tensor with two or more axes, is moved by
    d_f = radius ||w_f|| g_f / ||g_f||, g_f ~ N(0, I) (Li et al. 2018, arXiv 1712.09913). Tensors of one
    axis or none (biases, BatchNorm) stay. So w_f -> c w_f in front of BatchNorm changes nothing. On a
    quadratic with Hessian H the expectation is 0.5 sum_f radius^2 ||w_f||^2 tr(H_ff) / dim f.

    Each of `draws` directions is taken with both signs, see `mean_loss_increase`. A seed gives every network of the
    same shapes the same directions, at every radius. Raises FloatingPointError when a loss is not finite.
    """
    if radius < 0:
        raise ValueError(f"expected radius >= 0, got {radius}")
    filters = with_filters(params)
    generator = torch.Generator().manual_seed(seed)

    def moves() -> Iterator[tuple[Params, Params]]:
        while True:
            direction = filter_direction(filters, generator)
            yield moved(params, direction, radius), moved(params, direction, -radius)

    return mean_loss_increase(losses, params, moves(), radius=radius, draws=draws, progress=progress)


def one_step_sharpness(
    losses: Sequence[LossFn], params: Params, *, rho: float, adaptive: bool = False
) -> LossIncrease:
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
        return LossIncrease(value=0.0, loss=fmean(base), radius=rho)
    step = {name: slope / length * scales.get(name, 1.0) for name, slope in ascent.items()}
    value = mean_difference(loss_values(losses, moved(params, step, rho)), base)
    return LossIncrease(value=value, loss=fmean(base), radius=rho)
