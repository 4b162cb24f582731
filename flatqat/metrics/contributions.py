"""What every image contributes to a weighted sum over shifts, such as ID, OOD or the gap between them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flatqat.metrics.stacked import Stacked

Runs = Sequence[Mapping[str, NDArray[Any]]]
"""The runs of one method: for each training seed and shift the outcome of every image, see `Metric`."""
Weights = Mapping[str, float]
Shares = Mapping[str, NDArray[np.float64]]
"""What every image of one run contributes, (images,), by image set."""
BLOCK = 2**12  # images at a time, of all shifts


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
    parts = by_image_set(image_sets, weights)
    return pooled([[shares({s: values(run[s]) for s in weights}, parts) for run in runs] for runs in methods])


def by_image_set(image_sets: Mapping[str, str], weights: Weights) -> dict[str, Weights]:
    """Return the weights of the shifts of each image set."""
    parts: dict[str, dict[str, float]] = {}
    for shift, weight in weights.items():
        parts.setdefault(image_sets[shift], {})[shift] = weight
    return dict(parts)


def shares(run: Mapping[str, NDArray[Any]], parts: Mapping[str, Weights]) -> Shares:
    """Return what each image of a run contributes to the sum, from the values of its images by shift.

    `parts` has the weights by image set. Raises ValueError if shifts of one image set differ in their images.
    """
    return {name: _weighted(_rows(run, [*part], name), [*part.values()]) for name, part in parts.items()}


def pooled(methods: Sequence[Sequence[Shares]]) -> list[NDArray[np.float64]]:
    """Return an array (methods, seeds, images) for each image set, from the shares of all runs.

    Raises ValueError if runs differ in their images.
    """
    pools = []
    for name in methods[0][0]:
        _check_images("runs", name, {len(run[name]) for runs in methods for run in runs})
        pools.append(np.array([[run[name] for run in runs] for runs in methods]))
    return pools


def _weighted(table: NDArray[Any], weights: Sequence[float]) -> NDArray[np.float64]:
    """Return 100 times the weighted sum of rows (shifts, images), added one after the other."""
    total, column = np.empty(table.shape[1]), 100 * np.array(weights)[:, None]
    for start in range(0, len(total), BLOCK):
        images = slice(start, start + BLOCK)
        total[images] = (column * table[:, images]).sum(axis=0)
    return total


def _rows(run: Mapping[str, NDArray[Any]], shifts: Sequence[str], name: str) -> NDArray[Any]:
    """Return the values of the images of an image set, (shifts, images)."""
    if isinstance(run, Stacked) and (rows := run.rows(shifts)) is not None:
        return rows
    for shift in shifts:
        _check_images(shift, name, {len(run[shifts[0]]), len(run[shift])})
    return np.stack([run[shift] for shift in shifts])


def _check_images(what: str, name: str, sizes: set[int]) -> None:
    if len(sizes) > 1:
        raise ValueError(f"{what}: expected the same images throughout {name!r}, got {sorted(sizes)}")
