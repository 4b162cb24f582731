"""A suite's metric, computed again from what is stored of every image: top-1, or mean IoU.

An outcome is what a metric needs to know of the n images of one shift, one entry an image along the first
axis: for top-1 whether each is right, shape (n,); for mIoU intersections and unions, shape (n, 2, C).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flatqat.metrics import extra_gap, miou
from flatqat.metrics.bootstrap import Interval
from flatqat.metrics.confusion import Confusions

Outcome = NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """`outcome` makes an outcome of the arrays called `needs` that are stored of a shift.

    `values(outcome)`, shape (n,), has the metric as its mean, a fraction, and the sampling error of its mean
    is that of the metric. `mean_extra_gap` is that of the module `extra_gap`. `pooled_shares` is there where
    the metric of all images of several shifts together is not the mean over shifts; see `miou`. Where there
    is a metric for every class, scores called `<by_class>/<index>` have it.
    """

    name: str
    title: str
    needs: tuple[str, ...]
    outcome: Callable[[Mapping[str, Any]], Outcome]
    values: Callable[[Outcome], NDArray[Any]]
    mean_extra_gap: Callable[..., Interval]
    pooled_shares: Callable[[Sequence[Sequence[Outcome]]], list[NDArray[Any]]] | None = None
    by_class: str | None = None


def _right(arrays: Mapping[str, Any]) -> Outcome:
    right: Outcome = arrays["margin"] > 0
    return right


def _counts(arrays: Mapping[str, Any]) -> Outcome:
    return Confusions(confusion=arrays["confusion"], unpredicted=arrays["unpredicted"]).counts


METRICS = {
    measure.name: measure
    for measure in (
        Metric(
            name="top1",
            title="top-1",
            needs=("margin",),
            outcome=_right,
            values=np.asarray,
            mean_extra_gap=extra_gap.mean_extra_gap,
        ),
        Metric(
            name="miou",
            title="mIoU",
            needs=("confusion", "unpredicted"),
            outcome=_counts,
            values=miou.pseudo_values,
            mean_extra_gap=miou.mean_extra_gap,
            pooled_shares=miou.pooled_shares,
            by_class="iou",
        ),
    )
}
