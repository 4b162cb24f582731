"""Partial rank correlation given a quantity that is measured with an error, by split halves of the images."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flatqat.metrics.rank import RankCorrelation, centered_ranks

FEWEST_ROWS = 5
LEAST_RELIABILITY = 0.5
Table = NDArray[Any]
Halves = tuple[Table, Table]


def partial_rank(x: Table, y: Halves, z: Halves) -> RankCorrelation | None:
    """Return the correlation of the ranks of x and y at equal z; None if too little of them is left there.

    Tables have the shape (rows, columns), a row for each method and a column for each seed. y and z come
    twice, each from one half of the images, both from the same halves A and B. An error of z would leave
    some of what z explains in both residuals, and make x and y correlate where only z drives them; so z_B is
    the instrument of z_A, and the other way round:

        u_A = y_A - <y_A, z_B> / <z_A, z_B> z_A,    v_B = x - <x, z_A> / <z_A, z_B> z_B

    of centered ranks within each column: what a seed does to all methods is not evidence of any of them. The
    errors of u_A and v_B are those of different images, and independent. rho is the mean of the correlations
    of u_A with v_B and of u_B with v_A; it is smaller than without errors, never larger. Its standard error
    is the delete-one jackknife over rows, and its test is t with rows - 3 degrees of freedom: rows may have
    different errors, which a permutation would have to exclude. There is no p if the reliability of z, the
    correlation of its halves, is below 0.5: the rows then differ too little in z for it to be held fixed. Too
    little of x or y is left if z ranks the rows as they do, with all rows or without one of them.

    Raises ValueError if the tables are not finite and of one shape, or have fewer than five rows.

    Source: two-stage least squares on measurements in duplicate (Fuller 1987, section 2.4).
    """
    tables = [np.asarray(table, dtype=np.float64) for table in (x, *y, *z)]
    shape = tables[0].shape
    if any(t.shape != shape or t.ndim != 2 or not np.isfinite(t).all() for t in tables):
        raise ValueError(f"expected finite tables of one shape, got shapes {[t.shape for t in tables]}")
    rows, columns = shape
    if rows < FEWEST_ROWS:
        raise ValueError(f"expected at least {FEWEST_ROWS} rows, got {rows}")
    rho, reliability = _correlate(tables)
    left_out = [_correlate([np.delete(t, row, axis=0) for t in tables])[0] for row in range(rows)]
    stderr = math.sqrt((rows - 1) * float(np.var(left_out)))
    if not (math.isfinite(rho) and math.isfinite(stderr) and stderr):
        return None
    reliability = reliability if math.isfinite(reliability) else 0.0  # z is constant
    p = _two_sided(rho / stderr, rows - 3) if reliability >= LEAST_RELIABILITY else None
    return RankCorrelation(rho=rho, stderr=stderr, p=p, rows=rows, columns=columns, reliability=reliability)


def _correlate(tables: list[Table]) -> tuple[float, float]:
    """Return rho and the reliability."""
    x, y_a, y_b, z_a, z_b = (centered_ranks(table).ravel() for table in tables)
    both = float(z_a @ z_b)
    rho = []
    for y, z, other in ((y_a, z_a, z_b), (y_b, z_b, z_a)):
        u = y - float(y @ other) / both * z if both else y
        v = x - float(x @ z) / both * other if both else x
        rho.append(_cosine(u, v))
    return sum(rho) / 2, _cosine(z_a, z_b)


def _cosine(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    size = math.sqrt(float(a @ a) * float(b @ b))
    return float(a @ b) / size if size > 1e-9 else math.nan


def _two_sided(t: float, freedom: int) -> float:
    from scipy.special import stdtr

    return 2 * float(stdtr(freedom, -abs(t)))
