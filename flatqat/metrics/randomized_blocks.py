"""Comparison of all methods with a baseline over the same seeds, with an error pooled over methods.

Two or three seeds say little about the spread of a single difference, but enough if all methods are pooled.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """The mean of a row minus that of the baseline, in the unit of the table.

    `freedom` is the number of degrees of freedom, and `p` the two-sided p-value.
    """

    value: float
    stderr: float
    freedom: float
    p: float

    def detectable(self, comparisons: int, level: float = 0.05) -> float:
        """Return the smallest difference that is significant at `level` with Bonferroni's correction."""
        from scipy.special import stdtrit

        return self.stderr * float(stdtrit(self.freedom, 1 - level / (2 * comparisons)))


def contrasts(table: NDArray[Any], baseline: int, image_variances: Sequence[float]) -> list[Contrast]:
    """Compare every row of `table`, shape (methods, seeds), with row `baseline` by a two-sided t-test.

    The p-values are not adjusted. This is a randomized block design whose blocks are the seeds (Fisher 1935).
    With T the table, and dots for means,

        s^2 = sum_ms (T_ms - T_m. - T_.s + T_..)^2 / f,    f = (M - 1)(S - 1)
        Var(T_m. - T_b.) = 2 s^2 / S + v_m

    v_m, one of the `image_variances`, is the variance of the difference over images, which is the same for
    all seeds and thus not in s^2. The degrees of freedom are Satterthwaite's, with infinitely many for v_m.
    The test assumes that the runs of all methods have the same variance. The variance of (seed, image) pairs
    is in both terms, so the error is too large rather than too small. With one seed, only v_m remains, and
    the test is about these training runs alone. Returns one contrast per row. Raises ValueError if there are
    fewer than two rows, or the arguments do not fit together.
    """
    values = np.asarray(table, dtype=np.float64)
    rows, columns = values.shape
    if rows < 2 or not 0 <= baseline < rows or len(image_variances) != rows:
        sizes = f"{values.shape}, {len(image_variances)}"
        raise ValueError(f"expected two rows or more with a variance each, got {sizes}")
    freedom = (rows - 1) * (columns - 1)
    means = values.mean(axis=1)
    residuals = values - means[:, None] - values.mean(axis=0) + values.mean()
    seed_variance = 2 * float((residuals**2).sum()) / freedom / columns if freedom else 0.0
    pairs = zip(means - means[baseline], image_variances, strict=True)
    return [_contrast(float(value), seed_variance, freedom, variance) for value, variance in pairs]


def _contrast(value: float, seed_variance: float, freedom: int, image_variance: float) -> Contrast:
    from scipy.special import stdtr

    variance = seed_variance + image_variance
    effective = freedom * (variance / seed_variance) ** 2 if seed_variance else math.inf
    stderr = math.sqrt(variance)
    p = 2 * float(stdtr(effective, -abs(value) / stderr)) if stderr else float(value == 0)
    return Contrast(value=value, stderr=stderr, freedom=effective, p=p)
