"""Every method against one of them, all with the same seeds: a test whose error the methods share.

Two or three seeds tell next to nothing about the spread of one difference; those of all methods together do.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """A row minus the baseline's, in the unit of the table, its standard error, degrees of freedom and p."""

    value: float
    stderr: float
    freedom: float
    p: float

    def detectable(self, comparisons: int, level: float = 0.05) -> float:
        """The smallest difference that this standard error would have let pass Bonferroni's bound."""
        from scipy.special import stdtrit

        return self.stderr * float(stdtrit(self.freedom, 1 - level / (2 * comparisons)))


def contrasts(table: NDArray[Any], baseline: int, image_variances: Sequence[float]) -> list[Contrast]:
    """Compare every row of `table` (methods, seeds) with row `baseline`, two-sided t, unadjusted.

    Randomized blocks, the seeds being the blocks (Fisher 1935): with T the table, dots for means,

        s^2 = sum_ms (T_ms - T_m. - T_.s + T_..)^2 / f,    f = (M - 1)(S - 1)
        Var(T_m. - T_b.) = 2 s^2 / S + v_m

    v_m is the variance of the difference that comes from the images, the same for all seeds and so not in
    s^2. Degrees of freedom after Satterthwaite, those of v_m being infinite. Takes for granted that runs of
    all methods scatter alike. What belongs to (seed, image) pairs is in both terms: errs to the wide side.
    With one seed v_m is all there is, and the test speaks of these training runs alone.
    """
    values = np.asarray(table, dtype=np.float64)
    rows, columns = values.shape
    if rows < 2 or not 0 <= baseline < rows or len(image_variances) != rows:
        raise ValueError(
            f"expected two rows or more with a variance each, got {values.shape}, {len(image_variances)}"
        )
    freedom = (rows - 1) * (columns - 1)
    means = values.mean(axis=1)
    residuals = values - means[:, None] - values.mean(axis=0) + values.mean()
    seeds = 2 * float((residuals**2).sum()) / freedom / columns if freedom else 0.0
    return [
        _contrast(float(mean - means[baseline]), seeds, freedom, variance)
        for mean, variance in zip(means, image_variances, strict=True)
    ]


def _contrast(value: float, seeds: float, freedom: int, images: float) -> Contrast:
    from scipy.special import stdtr

    variance = seeds + images
    effective = freedom * (variance / seeds) ** 2 if seeds else math.inf
    stderr = math.sqrt(variance)
    p = 2 * float(stdtr(effective, -abs(value) / stderr)) if stderr else float(value == 0)
    return Contrast(value=value, stderr=stderr, freedom=effective, p=p)
