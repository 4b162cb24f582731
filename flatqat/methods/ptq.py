"""Post-training quantization: the full-precision model put on the grid, without a training step.

Starts from the finished `fp` cell. Ranges come from calibration batches: `mse` minimises the mean squared
rounding error of each tensor, `minmax` covers its whole range, `percentile` all but its ends. With
`batchnorm`, BatchNorm statistics are estimated again for the rounded weights, which needs images but no
labels and wins back much of what 3 bits lose; off by default, as in common deployment tools. Source: Nagel et
al. 2021 (arXiv 2106.08295), section 3.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from flatqat.methods.base import Batch, Calibration, Method
from flatqat.spec import Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(Calibration):
    batchnorm: bool = False


class PTQ(Method):
    Config = Config
    parent = "fp"
    trains = False

    @classmethod
    def steps(cls, recipe: Recipe) -> int:
        return 0

    def end(self, batches: Sequence[Batch]) -> None:
        if self.config.batchnorm:
            super().end(batches)


METHOD = PTQ
