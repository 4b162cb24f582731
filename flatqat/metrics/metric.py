"""The metrics of suites, top-1 and mean IoU, computed from the stored outcomes of every image.

An outcome is what a metric needs from the n images of one shift, one entry per image along the first axis:
for top-1 whether each is classified correctly, (n,); for mIoU the intersections and unions, (n, 2, C).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flatqat.metrics import miou
from flatqat.metrics.confusion import Confusions
from flatqat.metrics.estimate import Estimate
from flatqat.metrics.outcomes import is_right
from flatqat.metrics.rescored import of_images, pixel_scores
from flatqat.spec import Score

Outcome = NDArray[Any]
LEAST_STDERR = 1e-9  # percent, below which equal values of images differ by rounding alone


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """How to compute a metric and its errors.

    Attributes:
        name: Name of the metric in scores and records.
        title: Name of the metric in tables.
        needs: Names of the stored arrays that `outcome` needs.
        outcome: Makes the outcome of a shift from these arrays.
        scores: Makes of all stored arrays the scores that follow from them, by name.
        values: Maps an outcome to values (n,) whose mean is the metric, a fraction, and whose standard error
            of the mean is that of the metric.
        whole: Whether these values are 0 or 1, of an image that is right or wrong as a whole.
        pooled_shares: See the module `miou`. None if the metric of all images of several shifts together is
            the mean over the shifts.
        by_class: Prefix of the scores `<by_class>/<index>` of every class, or None if there are none.
    """

    name: str
    title: str
    needs: tuple[str, ...]
    outcome: Callable[[Mapping[str, Any]], Outcome]
    scores: Callable[[Mapping[str, Any]], dict[str, Score]]
    values: Callable[[Outcome], NDArray[Any]]
    whole: bool
    pooled_shares: Callable[[Sequence[Sequence[Outcome]]], list[NDArray[Any]]] | None = None
    by_class: str | None = None

    def ends(self, estimate: Estimate | None) -> tuple[float | None, float | None]:
        """Return the 95% interval of the metric in percent, (None, None) if it is not known.

        Where the values of all images are equal, an interval follows for images that are right or wrong as
        a whole: none of n right still allows some. An IoU of 0 says nothing of how it scatters.
        """
        if estimate is None or (not self.whole and estimate.stderr < LEAST_STDERR):
            return None, None
        return estimate.of_share()


_TOP1 = Metric(
    name="top1",
    title="top-1",
    needs=("margin",),
    outcome=lambda arrays: is_right(arrays["margin"]),
    scores=of_images,
    values=np.asarray,
    whole=True,
)
_CONFUSIONS = ("confusion", "unpredicted")
_MIOU = Metric(
    name="miou",
    title="mIoU",
    needs=_CONFUSIONS,
    outcome=lambda arrays: Confusions(**arrays).counts,
    scores=lambda arrays: pixel_scores(Confusions(**{name: arrays[name] for name in _CONFUSIONS})),
    values=miou.pseudo_values,
    whole=False,
    pooled_shares=miou.pooled_shares,
    by_class="iou",
)
METRICS = {metric.name: metric for metric in (_TOP1, _MIOU)}
