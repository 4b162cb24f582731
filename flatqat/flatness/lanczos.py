"""Lanczos iteration with full reorthogonalization, with one product per step."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Krylov:
    """A Krylov space after k steps: H Q^T = Q^T T + beta q e_k^T.

    The rows of `basis` Q (k, n) are orthonormal. `ritz` (k,), ascending, and the columns of `vectors` (k, k)
    are the eigenpairs of the tridiagonal T, in float64 on the CPU. `exact` says that beta is rounding noise
    or that Q spans the whole space, so no vector can be added and every Ritz value is an eigenvalue.
    """

    basis: Tensor
    ritz: Tensor
    vectors: Tensor
    beta: float
    exact: bool

    def bound(self, index: int) -> float:
        """Return ||H y - theta y|| of the Ritz pair `index`, |beta s_k| (Parlett 1980, 13.2)."""
        return 0.0 if self.exact else abs(self.beta * float(self.vectors[-1, index]))

    def vector(self, index: int) -> Tensor:
        """Return the unit Ritz vector (n,) of the Ritz pair `index`."""
        combined = self.vectors[:, index].to(self.basis) @ self.basis
        unit: Tensor = combined / torch.linalg.vector_norm(combined)
        return unit


def rounding(ritz: Tensor, dtype: torch.dtype) -> float:
    """Return the size of rounding noise in a product: 100 eps times the largest magnitude in the spectrum."""
    return 100 * torch.finfo(dtype).eps * float(ritz.abs().max())


def lanczos(product: Callable[[Tensor], Tensor], start: Tensor, *, steps: int) -> Iterator[Krylov]:
    """Yield the Krylov spaces of a symmetric `product` from `start` (n,), which is not zero.

    There are at most `steps`, fewer if a space is exact. Every new vector is orthogonalized twice against all
    earlier ones ("twice is enough", Parlett 1980); otherwise copies of converged eigenvalues appear. Memory:
    steps * n numbers. Raises FloatingPointError if a product is not finite.
    """
    basis = start.new_empty(steps, start.numel())
    tridiagonal = torch.zeros(steps, steps, dtype=torch.float64)
    vector = start / torch.linalg.vector_norm(start)
    for step in range(steps):
        basis[step] = vector
        spanned = basis[: step + 1]
        residual = product(vector)
        overlap = spanned @ residual
        residual = residual - overlap @ spanned
        correction = spanned @ residual
        residual = residual - correction @ spanned
        beta = float(torch.linalg.vector_norm(residual))
        tridiagonal[step, step] = alpha = float(overlap[-1] + correction[-1])
        if not math.isfinite(alpha) or not math.isfinite(beta):
            raise FloatingPointError("expected a finite Hessian-vector product, got NaN or infinity")
        ritz, vectors = torch.linalg.eigh(tridiagonal[: step + 1, : step + 1])
        exact = beta <= rounding(ritz, start.dtype) or step + 1 == start.numel()
        yield Krylov(spanned, ritz, vectors, beta, exact)
        if exact or step + 1 == steps:
            return
        tridiagonal[step, step + 1] = tridiagonal[step + 1, step] = beta
        vector = residual / beta
