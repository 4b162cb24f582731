"""Mean intersection over union, a function of pixel counts summed over images.

    IoU_c = TP_c / (TP_c + FP_c + FN_c),    mIoU = mean of IoU_c over the classes with a union above 0

of the confusion matrix summed over all images of a shift (Everingham et al. 2015, section 4; Cityscapes:
Cordts et al. 2016, section 4.2). A class that neither occurs nor is predicted has 0/0 and is left out, as in
cityscapesScripts. Counts are those of `Confusions.counts`: intersections and unions, shape (..., 2, C).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flatqat.metrics.bootstrap import Interval, nested_bootstrap_of, paired_bootstrap_of
from flatqat.metrics.extra_gap import Members, Runs, gap_weights
from flatqat.metrics.influence import ratio


def miou(counts: NDArray[Any]) -> NDArray[np.float64]:
    """Return mIoU, a fraction (...), from sums or means of counts (..., 2, C); NaN if no class occurs."""
    intersection, union = counts[..., 0, :].astype(np.float64), counts[..., 1, :]
    occurs = union > 0
    total = np.divide(intersection, union, out=np.zeros_like(intersection), where=occurs).sum(axis=-1)
    classes = occurs.sum(axis=-1)
    mean: NDArray[np.float64] = np.where(classes > 0, total / np.maximum(classes, 1), np.nan)
    return mean


def pseudo_values(counts: NDArray[Any]) -> NDArray[np.float64]:
    """Return mIoU + n d mIoU / d w_i for each image i, fractions (n,), from counts (n, 2, C).

        n d mIoU / d w_i = mean_c (I_ic - IoU_c U_ic) / mean_i(U_ic)

    over the classes with a union, where I and U are the intersections and unions; see `ratio`. The mean of
    the pseudo-values is the mIoU and their spread is that of images, so tests for means of per-image values
    are valid for mIoU to first order in 1/n. All values are NaN if no class has a union.
    """
    occurs = counts[:, 1].sum(axis=0) > 0
    if not occurs.any():
        return np.full(len(counts), np.nan)
    iou, influence = ratio(counts[:, 0, occurs], counts[:, 1, occurs])
    values: NDArray[np.float64] = float(iou.mean()) + influence.mean(axis=1)
    return values


def pooled_shares(pools: Sequence[Sequence[NDArray[Any]]]) -> list[NDArray[np.float64]]:
    """Return what each image contributes to the mIoU of the counts of several shifts together.

        share_pi = n_p / n (mIoU + n d mIoU / d w_pi),    n = sum_p n_p

    Every pool is a sequence of shifts with counts (n_p, 2, C) of the same n_p images; the result has an array
    (n_p,) per pool. The means of the pools sum to the mIoU, a fraction. Pools are independent, so to first
    order the variance of this sum is that of the mIoU.
    """
    counts = [np.sum(shifts, axis=0) for shifts in pools]
    values = pseudo_values(np.concatenate(counts))
    parts = np.split(values, np.cumsum([len(pool) for pool in counts])[:-1])
    return [part * len(part) / len(values) for part in parts]


def mean_extra_gap(members: Members, *, nested: bool = False, draws: int = 2000) -> Interval:
    """Return what `extra_gap.mean_extra_gap` does, in points of mIoU, from counts (n, 2, C) of each shift.

        T = sum_k weight_k (mIoU_method,k - mIoU_reference,k),    mean over seeds

    Each draw resamples images together with their counts under every shift of their pool and by both models,
    and computes every mIoU from the sums. A class without a pixel in a draw is left out of that draw.
    """
    pools: list[NDArray[np.float64]] = []
    layouts: list[tuple[tuple[int, ...], NDArray[np.float64]]] = []
    for method, reference, pool_of in members:
        weights = gap_weights(pool_of)
        if not method or len(method) != len(reference):
            raise ValueError(f"expected one reference for each seed, got {len(method)} and {len(reference)}")
        for pool in dict.fromkeys(pool_of[shift] for shift in weights):
            shifts = [shift for shift in weights if pool_of[shift] == pool]
            counts = _stack(method, reference, shifts, pool)
            pools.append(counts.reshape(*counts.shape[:2], -1))
            layouts.append((counts.shape[2:], np.array([weights[s] for s in shifts]) / len(members)))

    def points(means: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
        total = np.zeros(means[0].shape[:-1])
        for mean, (shape, weight) in zip(means, layouts, strict=True):
            value = miou(mean.reshape(*mean.shape[:-1], *shape))
            total += 100 * ((value[..., 0, :] - value[..., 1, :]) @ weight)
        return total

    bootstrap = nested_bootstrap_of if nested else paired_bootstrap_of
    return bootstrap(points, pools, draws=draws)


def _stack(method: Runs, reference: Runs, shifts: Sequence[str], pool: str) -> NDArray[np.float64]:
    """Return the counts of one pool, shape (seeds, images, 2 models, shifts, 2, C)."""
    shapes = {run[shift].shape for runs in (method, reference) for run in runs for shift in shifts}
    if len(shapes) > 1:
        names = ", ".join(shifts)
        raise ValueError(f"{names}: expected the same images throughout pool {pool!r}, got shapes {shapes}")
    pairs = zip(method, reference, strict=True)
    counts = [[[run[shift] for shift in shifts] for run in pair] for pair in pairs]
    return np.moveaxis(np.array(counts, dtype=np.float64), 3, 1)
