"""EMA of QAT: the exponential moving average of the weights is deployed; training is plain QAT.

    m_0 = w_0,   m_t = d_t · m_{t−1} + (1 − d_t) · w_t,   d_t = min(d, (1 + t) / (10 + t))

after each step t = 1, 2, ...: thanks to this warm-up, short runs forget their initial weights. Everything
that is trained is averaged: weights, biases, BatchNorm's γ and β, step sizes; BatchNorm statistics are
estimated again. Of a quantized layer, `average` selects W or Q(W), whose average is rounded again.

Source: Polyak & Juditsky 1992 for averaging; the warm-up is that of TensorFlow's ExponentialMovingAverage.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from torch import Tensor

from flatqat.methods.average import Average, AveragedWeight
from flatqat.methods.base import Batch, Calibration, Method
from flatqat.methods.settings import Between


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(Calibration):
    """The settings of `ema`."""

    decay: Annotated[float, Between(0, 1)] = 0.999
    average: AveragedWeight = "latent"


class EMA(Method):
    """Quantization-aware training that deploys the exponential moving average of the weights."""

    Config = Config

    def begin(self, batches: Sequence[Batch]) -> None:
        """Calibrate the grids and start the average."""
        super().begin(batches)
        self.average = Average(self.model, self.config.average)

    def step(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        """Take a QAT step, then update the average."""
        logs = super().step(x, y)
        self.average.move_(1 - min(self.config.decay, (1 + self.steps_done) / (10 + self.steps_done)))
        return logs

    def end(self, batches: Sequence[Batch]) -> None:
        """Deploy the average."""
        self.average.deploy_()
        super().end(batches)


METHOD = EMA
