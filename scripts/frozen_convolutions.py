"""Convolutions that stop in the middle of training, rounded or not: controls of the second study.

Until the fraction `start` of the steps the network trains in full precision. From there on the convolutions
stay as they are, and BatchNorm and the other layers train on. At `fp` that is all, a control for freezing. At
other bits the network is rounded from there on, too, with step sizes that stay.

So does the released code of QT-DoG (Javed et al. 2024, arXiv 2410.06020) freeze them: its optimizer is made
before its quantizers replace the weights, which then are in no optimizer. It differs in the step at which it
rounds, in the learning rate, which stays, and in the grids, which start at 2 E|w| / sqrt(q_max) and are
coarser than those of the least squared error, the default of `ranges` here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from torch import Tensor, nn

from flatqat import Between, Calibration, Method
from flatqat.methods.base import Batch
from flatqat.quant.apply import quantizers


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(Calibration):
    """The settings: after which fraction of the steps convolutions stop."""

    start: Annotated[float, Between(0, 1)] = 0.5


class FrozenConvolutions(Method):
    """Training in full precision, then with frozen convolutions, rounded unless the bits are `fp`."""

    Config = Config

    def begin(self, batches: Sequence[Batch]) -> None:
        """Keep the calibration batches for the step from which the network is rounded."""
        self.batches = batches
        if not self.first:
            self._freeze()

    @property
    def first(self) -> int:
        """The first step with frozen convolutions."""
        return round(self.config.start * self.total_steps)

    def step(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        """Take a step, of either part of the training."""
        self._switch(self.steps_done >= self.first)
        logs = super().step(x, y)
        if self.steps_done == self.first:
            self._freeze()
        return logs

    def end(self, batches: Sequence[Batch]) -> None:
        """Round what is not rounded yet, and re-estimate the BatchNorm statistics."""
        self._switch(True)
        if self.steps_done < self.first:
            super().begin(self.batches)
        super().end(batches)

    def _switch(self, rounded: bool) -> None:
        for _, quantizer in quantizers(self.model):
            quantizer.enabled = rounded

    def _freeze(self) -> None:
        super().begin(self.batches)
        convolutions = [module for module in self.model.modules() if isinstance(module, nn.Conv2d)]
        for module in (*convolutions, *(quantizer for _, quantizer in quantizers(self.model))):
            for parameter in module.parameters():
                parameter.requires_grad_(False)
                parameter.grad = None


METHOD = FrozenConvolutions
