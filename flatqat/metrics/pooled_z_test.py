"""A z-test for a difference of means over shifts, with images as the sample."""

import math
from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from flatqat.metrics.significance import Difference


def pooled_difference(pools: Sequence[NDArray[Any]]) -> Difference:
    """Return the z-test of D = sum_p mean_i d_p[i] against zero, for independent pools of images.

    d_p, shape (N_p,), is the share of each image in the difference: the sum over the shifts of the pool of
    weight × (correct now − correct before), as a fraction. Var D = sum_p var(d_p, ddof=1) / N_p, so the
    shifts of one image, which are not independent, count as one observation. Raises ValueError if there are
    no pools, or a pool has fewer than two images.
    """
    from scipy.special import ndtr

    if not pools or any(d.ndim != 1 or len(d) < 2 for d in pools):
        raise ValueError(f"expected pools of at least two images, got shapes {[d.shape for d in pools]}")
    mean = math.fsum(float(d.mean()) for d in pools)
    stderr = math.sqrt(math.fsum(float(d.var(ddof=1)) / len(d) for d in pools))
    p = 2 * float(ndtr(-abs(mean) / stderr)) if stderr else float(mean == 0)
    return Difference(points=100 * mean, stderr=100 * stderr, p=p, test="pooled z")
