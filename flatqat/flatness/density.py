"""Spectral density of the loss Hessian: which share of all directions has which curvature."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

import torch
from torch import Tensor

from flatqat.flatness._derivatives import hessian_product
from flatqat.flatness._lanczos import lanczos
from flatqat.flatness._params import Loss, Params, Progress, flatten
from flatqat.flatness._probes import rademacher

TAIL = 5  # widths beyond the outermost node: 3e-7 of a Gaussian lies outside
POINTS_PER_WIDTH = 4  # the trapezoid rule on Gaussians is then exact to rounding


@dataclass(frozen=True, slots=True, kw_only=True)
class Density:
    """phi(t) on an even `grid`, normalised to 1, and the quadrature rules behind it, one a probe.

    `nodes[i]` are the Ritz values of probe i, `weights[i]` their shares, which sum to 1. `width` is the
    standard deviation of the Gaussians that smooth phi, in the units of the grid (loss per squared unit
    of weight). `mean` estimates tr H / n and `mean_square` tr H^2 / n, without smoothing, each with the
    standard error over the probes.
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
    losses: Sequence[Loss],
    params: Params,
    *,
    steps: int = 40,
    probes: int = 5,
    width: float = 0.01,
    seed: int = 0,
    progress: Progress | None = None,
) -> Density:
    """phi(t) = mean_i sum_k w_ik N(t; theta_ik, sigma^2), by stochastic Lanczos quadrature.

    `probes` times `steps` products, and `steps` copies of the weights; `width` is sigma relative to the range
    of all nodes. Each probe's rule is exact for polynomials of degree 2 steps - 1 in z.f(H)z, so what is
    uncertain is the choice of probes: read it where phi is far above 1 / (n sigma). Raises FloatingPointError
    when a product is not finite.

    Source: Golub & Welsch 1969; Lin, Saad & Yang 2016 (arXiv 1308.5467); for networks Ghorbani et al. 2019
    (arXiv 1901.10159).
    """
    if steps < 1 or probes < 2 or width <= 0:
        raise ValueError(f"expected steps >= 1, probes >= 2 and width > 0, got {steps}, {probes} and {width}")
    product = hessian_product(losses, params)
    like = flatten(params)
    generator = torch.Generator().manual_seed(seed)
    most, rules = steps * probes, []
    for probe in range(probes):
        tick = None if progress is None else _tick(progress, probe * steps, most)
        rules.append(quadrature(product, rademacher(like, generator), steps=steps, tick=tick))
        if progress is not None:
            progress((probe + 1) * steps, most)
    return smoothed(rules, width=width)


def quadrature(
    product: Callable[[Tensor], Tensor],
    start: Tensor,
    *,
    steps: int,
    tick: Callable[[int], None] | None = None,
) -> tuple[Tensor, Tensor]:
    """Nodes theta and weights w, float64, with sum_k w_k f(theta_k) = z.f(H)z / z.z for z = `start`.

    theta are the eigenvalues of the Lanczos matrix T, and w the squared first entries of its unit
    eigenvectors. Exact for polynomials f of degree 2 steps - 1, and for every f once the space is.
    """
    for space in lanczos(product, start, steps=min(steps, start.numel())):
        if tick is not None:
            tick(len(space.ritz))
    return space.ritz, space.vectors[0].square()


def smoothed(rules: Sequence[tuple[Tensor, Tensor]], *, width: float) -> Density:
    """The density of the mean of `rules`. A spectrum of one point is given a range of its own magnitude."""
    nodes, shares = (torch.cat(parts) for parts in zip(*rules, strict=True))
    low, high = float(nodes.min()), float(nodes.max())
    sigma = width * (max(high - low, 1e-3 * max(abs(low), abs(high))) or 1.0)
    low, high = low - TAIL * sigma, high + TAIL * sigma
    points = math.ceil(POINTS_PER_WIDTH * (1 / width + 2 * TAIL)) + 1  # whatever rounding does to nodes
    grid = torch.linspace(low, high, points, dtype=torch.float64)
    bells = torch.exp(-0.5 * ((grid[:, None] - nodes) / sigma).square()) / (sigma * math.sqrt(2 * math.pi))
    means, squares = ([float(share @ node**power) for node, share in rules] for power in (1, 2))
    return Density(
        grid=tuple(grid.tolist()),
        density=tuple((bells @ shares / len(rules)).tolist()),
        nodes=tuple(tuple(node.tolist()) for node, _ in rules),
        weights=tuple(tuple(share.tolist()) for _, share in rules),
        width=sigma,
        mean=fmean(means),
        mean_stderr=_stderr(means),
        mean_square=fmean(squares),
        mean_square_stderr=_stderr(squares),
    )


def _stderr(values: list[float]) -> float:
    return stdev(values) / math.sqrt(len(values))


def _tick(progress: Progress, before: int, most: int) -> Callable[[int], None]:
    return lambda done: progress(before + done, most)
