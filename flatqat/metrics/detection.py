"""How well a network's confidence tells shifted images from those that it was trained for."""

from collections.abc import Iterable, Mapping
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flatqat.spec import Score


def auroc(known: NDArray[Any], shifted: NDArray[Any]) -> float:
    """Return the AUROC of telling images apart by confidence, a fraction: 1/2 for no better than by chance.

    It is the probability that an image in distribution has more confidence than a shifted one, half of it
    where both have the same. With the probability of the predicted class this is the baseline of Hendrycks
    and Gimpel 2017. Shapes (n,) and (m,), of any scale; NaN if one is empty or has a NaN.
    """
    if not known.size or not shifted.size or np.isnan(known).any() or np.isnan(shifted).any():
        return float("nan")
    order = np.sort(shifted)
    below, not_above = (np.searchsorted(order, known, side=side).sum() for side in ("left", "right"))
    return float(below + not_above) / (2 * known.size * shifted.size)


def detection(outcomes: Mapping[str, NDArray[Any]], shifts: Iterable[str]) -> dict[str, Score]:
    """Return in percent how well confidence tells the images of each shift from those of `id`, see `auroc`.

    `outcomes` has a cell's arrays as `<shift>:<name>`. Nothing is returned where they have no confidences.
    """
    if (known := outcomes.get("id:confidence")) is None:
        return {}
    values = {shift: 100 * auroc(known, outcomes[f"{shift}:confidence"]) for shift in shifts}
    return {
        shift: Score(value=value if isfinite(value) else None, n=len(outcomes[f"{shift}:confidence"]))
        for shift, value in values.items()
    }
