"""Rank correlation over a table of runs, a row a method and a column a seed, which are not independent.

Spearman's rho over all runs, within a column, or with a third quantity held fixed; its standard error, and a
test that counts methods, not runs.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

FEWEST_ROWS = 3
Table = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class RankCorrelation:
    """rho in [-1, 1], its jackknife standard error, the two-sided p-value of the permutations, the size."""

    rho: float
    stderr: float
    p: float
    rows: int
    columns: int


def rank_correlation(
    x: NDArray[Any],
    y: NDArray[Any],
    given: NDArray[Any] | None = None,
    *,
    within: bool = False,
    draws: int = 9999,
    seed: int = 0,
) -> RankCorrelation | None:
    """Spearman's rho of two tables of shape (rows, columns), all finite; None where one of them is constant.

    rho is the correlation of the ranks of all runs. With `within` runs are ranked among those of their column
    alone, which takes out whatever a seed does to all methods alike. With `given` it is the partial
    correlation: of what is left of the ranks of x and y after those of `given` are regressed out, the same as
    (r_xy - r_xz r_yz) / sqrt((1 - r_xz^2) (1 - r_yz^2)).

    Standard error: the delete-one jackknife over rows and that over columns, variances added; over rows alone
    where there is one column. Each is (G - 1)/G sum_g (rho_g - mean rho)^2 (Efron & Stein 1981). The sum
    counts the noise of single runs twice, which errs to the wide side.

    p: whole rows of x (of what is left of its ranks) change places, all permutations up to 6 rows, else
    `draws` of them, the one seen among them: how often |rho| is as large. Under independence of methods it
    keeps its level whatever runs of one method or of one seed share, which a t-test with the standard error
    above does not: at 10 rows and 3 columns that rejects at 5% in up to 12% of the cases. With `given` it is
    approximate (Anderson & Robinson 2001).
    """
    tables = [np.asarray(table, dtype=np.float64) for table in (x, y, *([] if given is None else [given]))]
    shape = tables[0].shape
    if any(t.shape != shape or t.ndim != 2 or not np.isfinite(t).all() for t in tables):
        raise ValueError(f"expected finite tables of one shape, got shapes {[t.shape for t in tables]}")
    if len(tables[0]) < FEWEST_ROWS:
        raise ValueError(f"expected at least {FEWEST_ROWS} rows, got {len(tables[0])}")
    left = _left(tables, within)
    rho = _correlation(*left)
    if math.isnan(rho):
        return None

    def statistic(part: list[Table]) -> float:
        return _correlation(*_left(part, within))

    variance = sum(_jackknife(statistic, tables, axis) for axis in (0, 1) if shape[axis] > 1)
    return RankCorrelation(
        rho=rho,
        stderr=math.sqrt(variance),
        p=_permuted(*left, draws=draws, seed=seed),
        rows=shape[0],
        columns=shape[1],
    )


def ranks(values: NDArray[Any]) -> NDArray[np.float64]:
    """1 for the smallest of a flat array; equal values share the mean of their ranks."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    mean_rank: NDArray[np.float64] = (last - (counts - 1) / 2)[place]
    return mean_rank


def _left(tables: list[Table], within: bool) -> tuple[Table, Table]:
    """Centred ranks of the first two tables, less what those of the third explain."""
    centred = [_centred(table, within) for table in tables]
    x, y = centred[:2]
    for z in centred[2:]:
        size = float((z * z).sum())
        if size:
            x, y = (table - float((table * z).sum()) / size * z for table in (x, y))
    return x, y


def _centred(table: Table, within: bool) -> Table:
    if within:
        ranked = np.stack([ranks(column) for column in table.T], axis=1)
    else:
        ranked = ranks(table.ravel()).reshape(table.shape)
    centred: Table = ranked - ranked.mean()
    return centred


def _correlation(x: Table, y: Table) -> float:
    """NaN where nothing is left of one of them; rounding leaves about 1e-16 of a rank."""
    sizes = float((x * x).sum()), float((y * y).sum())
    if min(sizes) < 1e-9:
        return math.nan
    return float((x * y).sum()) / math.sqrt(sizes[0] * sizes[1])


def _jackknife(statistic: Callable[[list[Table]], float], tables: list[Table], axis: int) -> float:
    """The variance of a statistic, one row or column left out at a time; undefined values do not count."""
    count = tables[0].shape[axis]
    left_out = [statistic([np.delete(table, g, axis) for table in tables]) for g in range(count)]
    values = np.array([value for value in left_out if not math.isnan(value)])
    return (count - 1) * float(values.var()) if len(values) else math.nan


def _permuted(x: Table, y: Table, *, draws: int, seed: int) -> float:
    """The share of permutations of rows whose |sum x y| is as large as the one seen."""
    rows = len(x)
    cross = x @ y.T  # cross[i, j]: row i of x beside row j of y
    if rows <= 6:
        orders = np.array(list(permutations(range(rows))))
    else:
        rng = np.random.Generator(np.random.PCG64(seed))
        drawn = rng.permuted(np.tile(np.arange(rows), (draws, 1)), axis=1)
        orders = np.concatenate([np.arange(rows)[None], drawn])
    sums = np.abs(cross[orders, np.arange(rows)].sum(axis=1))
    seen = abs(float(np.trace(cross)))
    return float((sums >= seen * (1 - 1e-9) - 1e-9).mean())
