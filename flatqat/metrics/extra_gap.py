"""What a method loses away from its training distribution beyond what floating point loses there."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flatqat.metrics.bootstrap import Interval, nested_bootstrap, paired_bootstrap

Corrects = Mapping[str, NDArray[Any]]
"""shift -> whether each image is right, shape (n,)"""


def mean_extra_gap(
    members: Sequence[tuple[Sequence[Corrects], Sequence[Corrects], Mapping[str, str]]],
    *,
    nested: bool = False,
    draws: int = 2000,
) -> Interval:
    """(ID_m - OOD_m) - (ID_f - OOD_f) in points of top-1, OOD the plain mean over the shifts.

    Difference in differences of a method m and the floating-point reference f, above zero: m loses more than
    f does. The mean over several members (method, reference, pools), such as the domains left out in turn:
    one entry of method and reference for each training seed, in the same order; `pools` names the pool of
    images of every shift that takes part, `id` among them. All members have the same seeds, which are
    drawn once for all of them. Their images count as different ones, also those that stand in the
    in-distribution sets of two members. `nested` says that every seed has images of its own.
    """
    bootstrap = nested_bootstrap if nested else paired_bootstrap
    matrices = [
        matrix / len(members)
        for method, reference, pools in members
        for matrix in contributions(method, reference, pools, gap_weights(pools))
    ]
    return bootstrap(matrices, draws=draws)


def gap_weights(pools: Mapping[str, str]) -> dict[str, float]:
    """The weight of each shift in ID - OOD."""
    shifts = [name for name in pools if name != "id"]
    if "id" not in pools or not shifts:
        raise ValueError(f"expected 'id' and at least one shift, got {sorted(pools)}")
    return {"id": 1.0} | dict.fromkeys(shifts, -1 / len(shifts))


def contributions(
    method: Sequence[Corrects],
    reference: Sequence[Corrects],
    pools: Mapping[str, str],
    weights: Mapping[str, float],
) -> list[NDArray[np.float64]]:
    """The matrices of `paired_bootstrap` for sum_k weights[k] (accuracy_m,k - accuracy_f,k), in points.

        d_p[s, i] = 100 sum_{k in pool p} weights[k] (correct_m[s][k][i] - correct_f[s][k][i])

    An image shown under several shifts of its pool is one column, so what those shifts have in common stays
    together; a shift with a pool of its own gives a matrix of its own.
    """
    if not method or len(method) != len(reference):
        raise ValueError(f"expected one reference for each seed, got {len(method)} and {len(reference)}")
    matrices: dict[str, NDArray[np.float64]] = {}
    for shift, weight in weights.items():
        pool = pools[shift]
        right, base = (_stack(runs, shift) for runs in (method, reference))
        matrix = matrices.setdefault(pool, np.zeros(right.shape))
        if not right.shape == base.shape == matrix.shape:
            shapes = f"{matrix.shape}, {right.shape} and {base.shape}"
            raise ValueError(f"{shift}: expected the same images throughout pool {pool!r}, got {shapes}")
        matrix += 100 * weight * (right - base)
    return list(matrices.values())


def _stack(runs: Sequence[Corrects], shift: str) -> NDArray[np.float64]:
    """(seeds, images) of one shift."""
    return np.stack([run[shift] for run in runs]).astype(np.float64)
