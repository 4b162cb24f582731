"""Mean intersection over union: no mean over images, but a function of counts summed over them.

    IoU_c = TP_c / (TP_c + FP_c + FN_c),    mIoU = mean of IoU_c over the classes with a union above 0

of the confusion matrix summed over all images of a shift (Everingham et al. 2015, section 4; Cityscapes:
Cordts et al. 2016, section 4.2). A class that is neither there nor predicted has 0/0 and is left out, as in
cityscapesScripts. Counts are those of `Confusions.counts`: intersections and unions, shape (..., 2, C).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flatqat.metrics.bootstrap import Interval
from flatqat.metrics.count_bootstrap import nested_bootstrap_of, paired_bootstrap_of
from flatqat.metrics.extra_gap import gap_weights
from flatqat.metrics.influence import ratio

Counts = Mapping[str, NDArray[Any]]
"""shift -> intersections and unions of each image, shape (n, 2, C)"""


def miou(counts: NDArray[Any]) -> NDArray[np.float64]:
    """A fraction, shape (...), from sums or means of counts (..., 2, C); NaN where no class has a union."""
    intersection, union = counts[..., 0, :].astype(np.float64), counts[..., 1, :]
    there = union > 0
    total = np.divide(intersection, union, out=np.zeros_like(intersection), where=there).sum(axis=-1)
    classes = there.sum(axis=-1)
    mean: NDArray[np.float64] = np.where(classes > 0, total / np.maximum(classes, 1), np.nan)
    return mean


def pseudo_values(counts: NDArray[Any]) -> NDArray[np.float64]:
    """mIoU + n d mIoU / d w_i for each image i: their mean is the mIoU, their spread that of images.

        n d mIoU / d w_i = mean_c (I_ic - IoU_c U_ic) / mean_i(U_ic)

    over the classes with a union, I and U the intersections and unions; see `ratio`. So the tests for means
    of per-image values hold for mIoU, to first order in 1/n. A fraction, shape (n,), from counts (n, 2, C).
    """
    there = counts[:, 1].sum(axis=0) > 0
    if not there.any():
        return np.full(len(counts), np.nan)
    iou, influence = ratio(counts[:, 0, there], counts[:, 1, there])
    values: NDArray[np.float64] = float(iou.mean()) + influence.mean(axis=1)
    return values


def pooled_shares(pools: Sequence[Sequence[NDArray[Any]]]) -> list[NDArray[np.float64]]:
    """What each image of a pool, shape (n_p,), gives to the mIoU of the counts of several shifts together.

    The shifts of one pool, each (n_p, 2, C), show the same images. The means of the pools sum up to the mIoU,
    a fraction, and the variance of that sum, pools being independent, is that of the mIoU to first order:

        share_pi = n_p / n (mIoU + n d mIoU / d w_pi),    n = sum_p n_p
    """
    counts = [np.sum(shifts, axis=0) for shifts in pools]
    values = pseudo_values(np.concatenate(counts))
    sizes = [len(of_pool) for of_pool in counts]
    parts = np.split(values, np.cumsum(sizes)[:-1])
    return [part * size / len(values) for part, size in zip(parts, sizes, strict=True)]


def mean_extra_gap(
    members: Sequence[tuple[Sequence[Counts], Sequence[Counts], Mapping[str, str]]],
    *,
    nested: bool = False,
    draws: int = 2000,
) -> Interval:
    """As `gaps.mean_extra_gap`, in points of mIoU: the mIoU of every shift is computed anew in each draw.

        T = sum_k weight_k (mIoU_method,k - mIoU_reference,k),    mean over seeds

    Images are drawn, with their counts under every shift of their pool and by both models. A class that a
    draw leaves without a pixel is left out of that draw.
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


def _stack(
    method: Sequence[Counts], reference: Sequence[Counts], shifts: Sequence[str], pool: str
) -> NDArray[np.float64]:
    """(seeds, images, 2 models, shifts, 2, C) of one pool."""
    shapes = {run[shift].shape for runs in (method, reference) for run in runs for shift in shifts}
    if len(shapes) > 1:
        raise ValueError(
            f"{', '.join(shifts)}: expected the same images throughout pool {pool!r}, got shapes {shapes}"
        )
    seeds = [
        np.stack([np.stack([run[shift] for shift in shifts], axis=1) for run in pair], axis=1)
        for pair in zip(method, reference, strict=True)
    ]
    return np.stack(seeds).astype(np.float64)
