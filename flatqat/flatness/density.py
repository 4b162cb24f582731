"""Spectral density of the loss Hessian: the distribution of its eigenvalues."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

import torch
from torch import Tensor

from flatqat.flatness.derivatives import Product, hessian_product
from flatqat.flatness.lanczos import lanczos
from flatqat.flatness.params import LossFn, Params, Progress, flatten, no_progress, rademacher

TAIL = 5  # widths beyond the outermost node, which leave out 3e-7 of a Gaussian
POINTS_PER_WIDTH = 4  # makes the trapezoid rule on Gaussians exact up to rounding


@dataclass(frozen=True, slots=True, kw_only=True)
class Density:
    """The density phi(t) on an even `grid`, with integral 1, and the quadrature rule of every probe.

    `nodes[i]` are the Ritz values of probe i, and `weights[i]` their weights, which sum to 1. `width`, the
    standard deviation of the Gaussians that smooth phi, and the grid are in loss per squared unit of weight.
    `mean` estimates tr H / n and `mean_square` tr H^2 / n, unsmoothed, with standard errors over probes.
    """

    grid: tuple[float, ...]
    density: tuple[float, ...]
    nodes: tuple[tuple[float, ...], ...]
    weights: tuple[tuple[float, ...], ...]
    width: float
    mean: float
    mean_stderr: float
    mean_square: float
    mean_square_stderr: float


def spectral_density(
    losses: Sequence[LossFn],
    params: Params,
    *,
    steps: int = 40,
    probes: int = 5,
    width: float = 0.01,
    seed: int = 0,
    progress: Progress = no_progress,
) -> Density:
    """Return phi(t) = mean_i sum_k w_ik N(t; theta_ik, sigma^2), by stochastic Lanczos quadrature.

    The rule of each probe z is exact for polynomials f of degree 2 steps - 1 in z.f(H)z, so the error is that
    of the choice of probes: phi is reliable where it is far above 1 / (n sigma). `width` is sigma relative to
    the range of all nodes. Cost: `probes` times `steps` products, and the memory of `steps` copies of the
    weights. Raises FloatingPointError if a product is not finite, and ValueError unless `steps` >= 2
    (with one, `mean_square` would be the square of the mean), `probes` >= 2 and `width` > 0.

    Source: Golub & Welsch 1969; Lin et al. 2016 (arXiv 1308.5467); Ghorbani et al. 2019 (arXiv 1901.10159).
    """
    if steps < 2 or probes < 2 or width <= 0:
        raise ValueError(f"expected steps >= 2, probes >= 2 and width > 0, got {steps}, {probes} and {width}")
    product = hessian_product(losses, params)
    like = flatten(params)
    generator = torch.Generator().manual_seed(seed)
    total, rules = steps * probes, []
    for before in range(0, total, steps):

        def tick(done: int, before: int = before) -> None:
            progress(before + done, total)

        rules.append(quadrature(product, rademacher(like, generator), steps=steps, tick=tick))
        tick(steps)
    return smoothed(rules, width=width)


def quadrature(
    product: Product, start: Tensor, *, steps: int, tick: Callable[[int], None] = lambda done: None
) -> tuple[Tensor, Tensor]:
    """Return nodes theta and weights w, float64 (k,), with sum_k w_k f(theta_k) = z.f(H)z / z.z, z = `start`.

    theta are the eigenvalues of the Lanczos matrix T, and w the squared first entries of its unit
    eigenvectors. The rule is exact for polynomials f of degree 2 steps - 1, and for every f once the Krylov
    space is exact. `tick(steps_done)` is called after every product.
    """
    for space in lanczos(product, start, steps=min(steps, start.numel())):
        tick(len(space.ritz))
    return space.ritz, space.vectors[0].square()


def smoothed(rules: Sequence[tuple[Tensor, Tensor]], *, width: float) -> Density:
    """Return the density of the mean of `rules`, pairs of nodes and weights.

    The number of grid points depends on `width` alone. Equal nodes get a range from their magnitude.
    """
    nodes, weights = (torch.cat(parts) for parts in zip(*rules, strict=True))
    low, high = float(nodes.min()), float(nodes.max())
    sigma = width * (max(high - low, 1e-3 * max(abs(low), abs(high))) or 1.0)
    low, high = low - TAIL * sigma, high + TAIL * sigma
    points = math.ceil(POINTS_PER_WIDTH * (1 / width + 2 * TAIL)) + 1  # whatever rounding does to nodes
    grid = torch.linspace(low, high, points, dtype=torch.float64)
    bells = torch.exp(-0.5 * ((grid[:, None] - nodes) / sigma).square()) / (sigma * math.sqrt(2 * math.pi))
    moments = ([float(weight @ node**power) for node, weight in rules] for power in (1, 2))
    mean, square = ((fmean(values), stdev(values) / math.sqrt(len(rules))) for values in moments)
    return Density(
        grid=tuple(grid.tolist()),
        density=tuple((bells @ weights / len(rules)).tolist()),
        nodes=tuple(tuple(node.tolist()) for node, _ in rules),
        weights=tuple(tuple(weight.tolist()) for _, weight in rules),
        width=sigma,
        mean=mean[0],
        mean_stderr=mean[1],
        mean_square=square[0],
        mean_square_stderr=square[1],
    )
