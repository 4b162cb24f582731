"""Extra gap: what a method loses under shift beyond what full precision loses."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flatqat.metrics.bootstrap import Interval, nested_bootstrap, paired_bootstrap

Runs = Sequence[Mapping[str, NDArray[Any]]]
"""For each training seed and shift, the outcome of every image: for top-1 whether it is correct, (n,)."""
Members = Sequence[tuple[Runs, Runs, Mapping[str, str]]]


def mean_extra_gap(members: Members, *, nested: bool = False, draws: int = 2000) -> Interval:
    """Return (ID_m - OOD_m) - (ID_f - OOD_f) in points of top-1 with its bootstrap interval.

    OOD is the unweighted mean over the shifts. This is a difference in differences of a method m and its
    full-precision reference f; above zero, m loses more than f. With several members, such as the domains
    left out in turn, it is the mean over the members. All members share the training seeds, which are drawn
    once for all of them. Images of different members count as different images, even if they are the same.

    A member is a tuple (method, reference, pools). Method and reference have one entry per seed, in the same
    order, and `pools` maps `id` and each shift that is included to its pool of images. `nested` says that
    every seed has its own images. Raises ValueError as `gap_weights` and `contributions` do.
    """
    bootstrap = nested_bootstrap if nested else paired_bootstrap
    matrices = [
        matrix / len(members)
        for method, reference, pools in members
        for matrix in contributions(method, reference, pools, gap_weights(pools))
    ]
    return bootstrap(matrices, draws=draws)


def gap_weights(pools: Mapping[str, str]) -> dict[str, float]:
    """Return the weight of each shift in ID - OOD. Raises ValueError without `id` or without other shifts."""
    shifts = [name for name in pools if name != "id"]
    if "id" not in pools or not shifts:
        raise ValueError(f"expected 'id' and at least one shift, got {sorted(pools)}")
    return {"id": 1.0} | dict.fromkeys(shifts, -1 / len(shifts))


def contributions(
    method: Runs, reference: Runs, pools: Mapping[str, str], weights: Mapping[str, float]
) -> list[NDArray[np.float64]]:
    """Return the matrices of `paired_bootstrap` for sum_k weights[k] (accuracy_m,k - accuracy_f,k).

        d_p[s, i] = 100 sum_{k in pool p} weights[k] (correct_m[s][k][i] - correct_f[s][k][i])

    in percentage points, one matrix (seeds, images) per pool. An image that several shifts of a pool show is
    one column, so all that was measured on it is resampled together. Raises ValueError unless there is one
    reference per seed and all shifts of a pool have the same shape.
    """
    if not method or len(method) != len(reference):
        raise ValueError(f"expected one reference for each seed, got {len(method)} and {len(reference)}")
    matrices: dict[str, NDArray[np.float64]] = {}
    for shift, weight in weights.items():
        pool = pools[shift]
        # matrices (seeds, images)
        correct, base = (np.stack([run[shift] for run in runs], dtype=float) for runs in (method, reference))
        matrix = matrices.setdefault(pool, np.zeros(correct.shape))
        if not correct.shape == base.shape == matrix.shape:
            shapes = f"{matrix.shape}, {correct.shape} and {base.shape}"
            raise ValueError(f"{shift}: expected the same images throughout pool {pool!r}, got {shapes}")
        matrix += 100 * weight * (correct - base)
    return list(matrices.values())
