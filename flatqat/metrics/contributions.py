"""What every image contributes to a weighted sum over shifts, such as ID, OOD or the gap between them."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flatqat.metrics.stacked import Stacked, together

SeedOutcomes = Sequence[Mapping[str, NDArray[Any]]]
"""The runs of one method: for each training seed and shift the outcome of every image, see `Metric`."""
Weights = Mapping[str, float]
Shares = Mapping[str, NDArray[np.float64]]
"""What every image contributes by image set, (images,) of one run, or (runs, images) of several."""
BLOCK = 2**18  # values at a time, which are 2 MB


def equal_weights(shifts: Collection[str]) -> dict[str, float]:
    """Return the weights of an unweighted mean over shifts; none without shifts."""
    return {shift: 1 / len(shifts) for shift in shifts}


def gap_weights(shifts: Sequence[str]) -> dict[str, float]:
    """Return the weights of ID - OOD, where OOD is the unweighted mean over `shifts`; none without shifts."""
    return {} if not shifts else {"id": 1.0} | dict.fromkeys(shifts, -1 / len(shifts))


def contributions(
    methods: Sequence[SeedOutcomes],
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
    of_methods = [[{s: np.asarray(values(run[s])) for s in weights} for run in runs] for runs in methods]
    parts = by_image_set(image_sets, weights)
    return pooled([shares(together(runs), parts) for runs in of_methods])


def by_image_set(image_sets: Mapping[str, str], weights: Weights) -> dict[str, Weights]:
    """Return the weights of the shifts of each image set."""
    parts: dict[str, dict[str, float]] = {}
    for shift, weight in weights.items():
        parts.setdefault(image_sets[shift], {})[shift] = weight
    return dict(parts)


def shares(runs: Mapping[str, NDArray[Any]], parts: Mapping[str, Weights]) -> Shares:
    """Return what each image of some runs contributes to the sum, from the values of their images by shift.

    Those are (runs, images), as `together` returns them. `parts` has the weights by image set. Raises
    ValueError if shifts of one image set differ in their images.
    """
    return {name: _weighted(_rows(runs, [*part], name), [*part.values()]) for name, part in parts.items()}


def pooled(methods: Sequence[Shares]) -> list[NDArray[np.float64]]:
    """Return an array (methods, seeds, images) for each image set. Raises ValueError if images differ."""
    for name in methods[0]:
        _check_images("methods", name, {of_method[name].shape[-1] for of_method in methods})
    return [np.stack([of_method[name] for of_method in methods]) for name in methods[0]]


def _weighted(table: NDArray[Any], weights: Sequence[float]) -> NDArray[np.float64]:
    """Return 100 times the weighted sum of rows (shifts, ..., images), added one after the other."""
    last = table.shape[-1] - 1  # no block has a single image, which numpy would add up in another order
    if table.dtype == bool and last and len({*weights[1:]}) == 1:
        return _counted(table, 100 * weights[0], 100 * weights[1])
    total = np.empty(table.shape[1:])
    factors = 100 * np.array(weights).reshape(-1, *[1] * total.ndim)
    step = max(2, BLOCK * table.shape[-1] // table.size)
    for start in range(0, max(last, 1), step):
        images = slice(start, start + step if start + step < last else None)
        total[..., images] = (factors * table[..., images]).sum(axis=0)
    return total


def _counted(table: NDArray[np.bool_], first: float, other: float) -> NDArray[np.float64]:
    """Return the sum over rows (shifts, ..., images) of `first` or, in all but the first row, `other`.

    Only rows that are true count. Adding zeros changes nothing, so the sum, which is rounded at each step,
    follows from how many are.
    """
    steps = np.full((2, len(table)), other)
    steps[:, 0] = 0.0, first
    sums: NDArray[np.float64] = np.add.accumulate(steps, axis=1)
    count = table[1:].view(np.uint8).sum(axis=0, dtype=np.min_scalar_type(len(table)))
    found: NDArray[np.float64] = sums.ravel()[table[0] * np.intp(len(table)) + count]
    return found


def _rows(runs: Mapping[str, NDArray[Any]], shifts: Sequence[str], name: str) -> NDArray[Any]:
    """Return the values of the images of an image set, (shifts, runs, images)."""
    if isinstance(runs, Stacked) and (rows := runs.rows(shifts)) is not None:
        return rows
    for shift in shifts:
        _check_images(shift, name, {runs[shifts[0]].shape[-1], runs[shift].shape[-1]})
    return np.stack([runs[shift] for shift in shifts])


def _check_images(what: str, name: str, sizes: set[int]) -> None:
    if len(sizes) > 1:
        raise ValueError(f"{what}: expected the same images throughout {name!r}, got {sorted(sizes)}")
