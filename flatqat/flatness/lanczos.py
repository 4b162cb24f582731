"""Lanczos with full re-orthogonalisation, one product a step."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Krylov:
    """After k steps: H Q^T = Q^T T + beta q e_k^T with the basis Q (k, n) orthonormal by rows.

    `ritz` (k,) ascending and `vectors` (k, k), by columns, are the eigenpairs of the tridiagonal T, in
    float64 on the CPU. `exact` says that beta is rounding noise or that Q spans the whole space: no vector
    is left to add, and every Ritz value is an eigenvalue.
    """

    basis: Tensor
    ritz: Tensor
    vectors: Tensor
    beta: float
    exact: bool

    def bound(self, index: int) -> float:
        """||H y - theta y|| of the Ritz pair `index`: |beta s_k| (Parlett 1980, 13.2), at no product."""
        return 0.0 if self.exact else abs(self.beta * float(self.vectors[-1, index]))

    def vector(self, index: int) -> Tensor:
        """The unit Ritz vector (n,) of `index`."""
        combined = self.vectors[:, index].to(self.basis) @ self.basis
        length: Tensor = torch.linalg.vector_norm(combined)
        return combined / length


def rounding(ritz: Tensor, dtype: torch.dtype) -> float:
    """The size of rounding noise in a product: 100 eps times the largest magnitude in the spectrum."""
    return 100 * torch.finfo(dtype).eps * float(ritz.abs().max())


def lanczos(product: Callable[[Tensor], Tensor], start: Tensor, *, steps: int) -> Iterator[Krylov]:
    """Grow the Krylov space of a symmetric `product` from `start` (n,), not zero, by at most `steps`.

    Every new vector is orthogonalised twice against all earlier ones ("twice is enough", Parlett 1980):
    without it, copies of converged eigenvalues appear. Memory: steps * n numbers. Ends early when the
    space is exact. Raises FloatingPointError when a product is not finite.
    """
    basis = start.new_empty(steps, start.numel())
    tridiagonal = torch.zeros(steps, steps, dtype=torch.float64)
    fresh = start / torch.linalg.vector_norm(start)
    for step in range(steps):
        basis[step] = fresh
        known = basis[: step + 1]
        rest = product(fresh)
        overlap = known @ rest
        rest = rest - overlap @ known
        correction = known @ rest
        rest = rest - correction @ known
        beta = float(torch.linalg.vector_norm(rest))
        tridiagonal[step, step] = alpha = float(overlap[-1] + correction[-1])
        if not math.isfinite(alpha) or not math.isfinite(beta):
            raise FloatingPointError("expected a finite Hessian-vector product, got NaN or infinity")
        ritz, vectors = torch.linalg.eigh(tridiagonal[: step + 1, : step + 1])
        exact = beta <= rounding(ritz, start.dtype) or step + 1 == start.numel()
        yield Krylov(known, ritz, vectors, beta, exact)
        if exact or step + 1 == steps:
            return
        tridiagonal[step, step + 1] = tridiagonal[step + 1, step] = beta
        fresh = rest / beta
