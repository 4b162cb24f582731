"""Effective robustness: accuracy under a shift beyond what in-distribution accuracy predicts.

    rho = ood - 100 sigmoid(slope · logit(id) + intercept)

in percentage points. The line is that of models without a robustness intervention. Source: Taori et al. 2020
(arXiv 2007.00644), section 3. The lines are least-squares fits to the logits of the top-1 that the authors
publish in modestyachts/imagenet-testbed, over the models that they call `STANDARD`, without two of these that
their own fits leave out: `resnet50_aws_baseline` and `resnet50_imagenet_100percent_batch64_original_images`,
two further copies of ResNet-50. Five models with `vtab` in their names have no top-1 on ImageNet-R. A line
that changes gets a new version; records name the one that they were compared with.
"""

from dataclasses import dataclass
from math import exp, log


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A fit in logit space to a number of `models`; `x` names the in-distribution accuracy, `r2` is R^2."""

    slope: float
    intercept: float
    x: str
    r2: float
    models: int


# ImageNet-C has none: the published runs resize its 224-pixel files again, which is another protocol.
LINES = {
    "imagenet-v2@1": Line(slope=0.9232, intercept=-0.4977, x="ImageNet val", r2=0.996, models=85),
    "imagenet-r@1": Line(slope=0.6368, intercept=-2.1077, x="val on the 200 classes", r2=0.889, models=80),
    "imagenet-sketch@1": Line(slope=1.0709, intercept=-2.3701, x="ImageNet val", r2=0.869, models=85),
}


def predicted(id_top1: float, line: Line) -> float:
    """Return the top-1 under the shift that `line` predicts; percent, with 0 < `id_top1` < 100."""
    p = id_top1 / 100
    return 100 / (1 + exp(-(line.slope * log(p / (1 - p)) + line.intercept)))


def effective_robustness(id_top1: float, ood_top1: float, name: str) -> float | None:
    """Return rho in percentage points relative to the line called `name`, from accuracies in percent.

    Returns None if `id_top1` is 0 or 100, whose logit is infinite. Raises KeyError without such a line.
    """
    return ood_top1 - predicted(id_top1, LINES[name]) if 0 < id_top1 < 100 else None
