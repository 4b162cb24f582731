"""Largest eigenvalue of the loss Hessian, with its residual.

A large value means that some direction is sharp. It is not invariant to scale: for a layer in front of
BatchNorm, w -> c w does not change the function but divides the layer's block by c^2. So report the norm of
the weights with it, and compare only networks with similar norms.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from flatqat.flatness.derivatives import hessian_product
from flatqat.flatness.lanczos import lanczos, rounding
from flatqat.flatness.params import LossFn, Params, Progress, flatten, gaussian, no_progress


@dataclass(frozen=True, slots=True, kw_only=True)
class TopEigenvalue:
    """An eigenvalue of the Hessian, in units of loss per squared unit of weight.

    `value` is the Rayleigh quotient v.Hv of a unit vector v, and `residual` is ||Hv - value v|| / |value|, so
    some eigenvalue is within residual * |value| of `value`. If `value` itself is rounding noise, the residual
    is relative to the spectral radius. `converged` says that the residual is below the tolerance or is
    rounding noise. `smallest` is an upper bound of the smallest eigenvalue, with its `smallest_residual`.
    `iterations` counts Hessian-vector products, without that of the final check.
    """

    value: float
    residual: float
    iterations: int
    converged: bool
    smallest: float
    smallest_residual: float


def top_eigenvalue(
    losses: Sequence[LossFn],
    params: Params,
    *,
    iterations: int = 30,
    tolerance: float = 1e-3,
    seed: int = 0,
    progress: Progress = no_progress,
) -> TopEigenvalue:
    """Return the algebraically largest eigenvalue (not the largest in magnitude), by Lanczos.

    It stops once the Ritz residual |beta s_k| / |theta| is below `tolerance`; one more product then gives the
    residual that is returned. A value converged to `tolerance` is off by about tolerance^2 if it is separated
    from the next eigenvalue. `smallest` has whatever accuracy it has by then. Cost: up to `iterations` + 1
    products and the memory of `iterations` copies of the weights. Raises FloatingPointError if a product is
    not finite, and ValueError if `iterations` < 1.

    Source: Lanczos 1950; Parlett, The Symmetric Eigenvalue Problem, chapter 13; for networks Ghorbani et
    al. 2019 (arXiv 1901.10159).
    """
    if iterations < 1:
        raise ValueError(f"expected iterations >= 1, got {iterations}")
    start = flatten(gaussian(params, torch.Generator().manual_seed(seed)))
    product = hessian_product(losses, params)
    total = min(iterations, start.numel())
    for space in lanczos(product, start, steps=total):
        done = len(space.ritz)
        progress(done, total)
        # Slightly below the tolerance, because rounding makes the final residual larger than its bound.
        if space.bound(-1) <= 0.9 * tolerance * abs(float(space.ritz[-1])):
            break
    noise, radius = rounding(space.ritz, start.dtype), float(space.ritz.abs().max())
    vector = space.vector(-1)
    image = product(vector)
    value = float(vector @ image)
    if not math.isfinite(value):
        raise FloatingPointError("expected a finite Hessian-vector product, got NaN or infinity")
    distance = float(torch.linalg.vector_norm(image - value * vector))
    smallest = float(space.ritz[0])
    return TopEigenvalue(
        value=value,
        residual=_relative(distance, value, noise, radius),
        iterations=done,
        converged=distance <= max(tolerance * abs(value), noise),
        smallest=smallest,
        smallest_residual=_relative(space.bound(0), smallest, noise, radius),
    )


def _relative(distance: float, value: float, noise: float, radius: float) -> float:
    """Return distance / |value|, or / the spectral radius if the value is rounding noise; 0 / 0 is 0."""
    scale = abs(value) if abs(value) > noise else radius
    return distance / scale if scale > 0 else 0.0
