"""Post-training quantization: the full-precision model put on the grid, without a training step.

Starts from the finished `fp` cell. Ranges come from calibration batches: `mse` minimises the mean squared
rounding error of each tensor, `minmax` covers its whole range. Source: Nagel et al. 2021 (arXiv 2106.08295),
section 3.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from flatqat.methods._base import Batch, Method
from flatqat.quant._apply import calibrate
from flatqat.spec import Budget


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    ranges: Literal["mse", "minmax"] = "mse"


class PTQ(Method):
    Config = Config
    start = "fp"

    @classmethod
    def steps(cls, budget: Budget) -> int:
        return 0

    def begin(self, batches: Sequence[Batch]) -> None:
        calibrate(self.model, [images for images, _ in batches], self.config.ranges)


METHOD = PTQ
