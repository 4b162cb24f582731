"""Post-training quantization: the full-precision model rounded to the grid, without a training step.

It starts from the finished `fp` cell. Ranges come from calibration batches: `mse` minimizes the mean squared
rounding error of each tensor, `minmax` covers its whole range, `percentile` leaves out its extremes. With
`batchnorm`, BatchNorm statistics are estimated again for the rounded weights; this needs images but no labels
and recovers much of the accuracy that 3 bits lose. It is off by default, as in common deployment tools.
Source: Nagel et al. 2021 (arXiv 2106.08295), section 3.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from flatqat.methods.base import Batch, Calibration, Method
from flatqat.methods.batchnorm import reestimate_batchnorm
from flatqat.spec import Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(Calibration):
    """The settings of `ptq`; `batchnorm` re-estimates BatchNorm statistics."""

    batchnorm: bool = False


class PTQ(Method):
    """Post-training quantization (Nagel et al. 2021)."""

    Config = Config
    parent = "fp"
    trains = False

    @classmethod
    def steps(cls, recipe: Recipe) -> int:
        """Return 0."""
        return 0

    def end(self, batches: Sequence[Batch]) -> None:
        """Re-estimate BatchNorm statistics if `batchnorm` is set, be they frozen in training or not."""
        if self.config.batchnorm:
            reestimate_batchnorm(self.model, [x for x, _ in batches])


METHOD = PTQ
