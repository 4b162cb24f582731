"""Trace of the loss Hessian, the sum of its eigenvalues, with its standard error.

Like the largest eigenvalue, it is not invariant to the scale of weights in front of BatchNorm.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

import torch

from flatqat.flatness.derivatives import hessian_product
from flatqat.flatness.lanczos import lanczos
from flatqat.flatness.params import LossFn, Params, Progress, flatten, gaussian, no_progress, rademacher


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """The trace tr H, and its `mean` over the n weights, in units of loss per squared unit of weight.

    `captured` is the part of `value` that is exact, tr(Q^T H Q), and `stderr` the standard error of the rest.
    """

    value: float
    stderr: float
    captured: float
    mean: float
    steps: int
    probes: int


def trace(
    losses: Sequence[LossFn],
    params: Params,
    *,
    steps: int = 30,
    probes: int = 30,
    seed: int = 0,
    progress: Progress = no_progress,
) -> Trace:
    """Return tr H = tr(Q^T H Q) + E[z^T P H P z] with P = I - Q Q^T: outliers exactly, the rest by probes.

    Q is an orthonormal basis of the Krylov space of a random vector after `steps` products, so the first term
    is the sum of its Ritz values and costs no further product. The second is Hutchinson's estimate with a
    fixed number of Rademacher z. Its variance is twice the squared off-diagonal of P H P, without the
    outliers. z is independent of Q, so the estimate is unbiased and its standard error valid.

    Plain Hutchinson spends its probes on a few large eigenvalues: on `tiny` at 4 bits (digits-c, 60 products
    for each) its standard error was 27 times as large. The gain depends on how large the outliers are.

    Cost: steps + probes products and the memory of `steps` copies of the weights. Raises FloatingPointError
    if a product is not finite, and ValueError unless `steps` >= 1 and `probes` >= 2.

    Source: Hutchinson 1990; deflated by a subspace, Meyer et al. 2021 (arXiv 2010.09649); by a Krylov space,
    Chen & Hallman 2023 (arXiv 2205.01736).
    """
    if steps < 1 or probes < 2:
        raise ValueError(f"expected steps >= 1 and probes >= 2, got {steps} and {probes}")
    generator = torch.Generator().manual_seed(seed)
    start = flatten(gaussian(params, generator))
    product = hessian_product(losses, params)
    total = steps + probes
    for space in lanczos(product, start, steps=min(steps, start.numel())):
        progress(len(space.ritz), total)
    captured, rest = float(space.ritz.sum()), []
    for done in range(1, probes + 1):
        probe = rademacher(start, generator)
        probe -= (space.basis @ probe) @ space.basis
        rest.append(float(probe @ product(probe)))
        progress(steps + done, total)
    value = captured + fmean(rest)
    if not math.isfinite(value):
        raise FloatingPointError("expected a finite Hessian-vector product, got NaN or infinity")
    stderr, mean, done = stdev(rest) / math.sqrt(probes), value / start.numel(), len(space.ritz)
    return Trace(value=value, stderr=stderr, captured=captured, mean=mean, steps=done, probes=probes)
