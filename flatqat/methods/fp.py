"""Full precision, fine-tuned from the common start for as many steps on the same batches as every QAT rule.

The reference of every comparison: what a quantized row loses against it is due to quantization alone. With no
step to take it is the start itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from flatqat.methods.base import Batch, Method


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Nothing to set."""


class FullPrecision(Method):
    Config = Config
    quantizes = False
    trains = False
    reference = True

    def begin(self, batches: Sequence[Batch]) -> None:
        """Nothing to calibrate."""

    def end(self, batches: Sequence[Batch]) -> None:
        """BatchNorm statistics of weights that did not move stay as they are."""
        if self.total_steps:
            super().end(batches)


METHOD = FullPrecision
