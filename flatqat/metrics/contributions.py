"""What every image contributes to a weighted sum over shifts, such as ID, OOD or the gap between them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Runs = Sequence[Mapping[str, NDArray[Any]]]
"""The runs of one method: for each training seed and shift the outcome of every image, see `Metric`."""
Weights = Mapping[str, float]


def gap_weights(shifts: Sequence[str]) -> dict[str, float]:
    """Return the weights of ID - OOD, where OOD is the unweighted mean over `shifts`; none without shifts."""
    return {} if not shifts else {"id": 1.0} | dict.fromkeys(shifts, -1 / len(shifts))


def contributions(
    methods: Sequence[Runs],
    image_sets: Mapping[str, str],
    weights: Weights,
    values: Callable[[NDArray[Any]], NDArray[Any]] = np.asarray,
) -> list[NDArray[np.float64]]:
    """Return the pools of `Components.of` for sum_k weights[k] metric_k, in percent.

        d_p[m, s, i] = 100 sum_{k in pool p} weights[k] values(outcome_ms,k)[i]

    One array (methods, seeds, images) per image set: an image that several shifts show is one column, so all
    that was measured on it stays together. `methods` have one run for each seed, in one order; `image_sets`
    has the image set of each shift; `values` maps an outcome to values whose mean is the metric. Raises
    ValueError if methods differ in their seeds, or shifts of one image set in their images.
    """
    if len({len(runs) for runs in methods}) != 1 or not methods[0]:
        raise ValueError(f"expected the same seeds for each method, got {[len(runs) for runs in methods]}")
    pools: dict[str, NDArray[np.float64]] = {}
    for shift, weight in weights.items():
        of_shift = [[np.asarray(values(run[shift]), dtype=np.float64) for run in runs] for runs in methods]
        name = image_sets[shift]
        sizes = {len(one) for runs in of_shift for one in runs}
        sizes |= {pools[name].shape[2]} if name in pools else set()
        if len(sizes) > 1:
            raise ValueError(f"{shift}: expected the same images throughout {name!r}, got {sorted(sizes)}")
        share = 100 * weight * np.array(of_shift)
        pools[name] = pools[name] + share if name in pools else share
    return list(pools.values())
