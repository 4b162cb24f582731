"""Effective robustness: accuracy under a shift beyond what accuracy in distribution predicts.

    rho = ood - 100 sigmoid(slope · logit(id) + intercept)

in points, against a line that models without any robustness intervention lie on. Source: Taori et al. 2020
(arXiv 2007.00644), section 3. The lines are least squares on the logits of the top-1 that the authors publish
in modestyachts/imagenet-testbed, over the models that they call `STANDARD`. A line that changes gets a new
version; records name the one they were compared with.
"""

from dataclasses import dataclass
from math import exp, log


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """`x` says which in-distribution accuracy predicts; `r2` how well, over how many `models`."""

    slope: float
    intercept: float
    x: str
    r2: float
    models: int


# ImageNet-C has none: the published runs resize its 224-pixel files once more, which is another protocol.
LINES = {
    "imagenet-v2@1": Line(slope=0.9232, intercept=-0.4977, x="ImageNet val", r2=0.996, models=85),
    "imagenet-r@1": Line(slope=0.6368, intercept=-2.1077, x="val on the 200 classes", r2=0.889, models=80),
    "imagenet-sketch@1": Line(slope=1.0709, intercept=-2.3701, x="ImageNet val", r2=0.869, models=85),
}


def predicted(id_top1: float, line: Line) -> float:
    """Top-1 under the shift of a model without intervention; both in percent, `id_top1` not 0 or 100."""
    p = id_top1 / 100
    return 100 / (1 + exp(-(line.slope * log(p / (1 - p)) + line.intercept)))


def effective_robustness(id_top1: float, ood_top1: float, name: str) -> float | None:
    """rho in points against the line `name`; None where the logit of `id_top1` is infinite."""
    if not 0 < id_top1 < 100:
        return None
    return ood_top1 - predicted(id_top1, LINES[name])
