"""Full precision, fine-tuned from the common parent for the same steps and batches as every QAT method.

The reference: quantized rows differ from it by quantization alone. With 0 steps it is the parent itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from flatqat.methods.base import Batch, Method


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """`fp` has no settings."""


class FullPrecision(Method):
    """Full-precision fine-tuning, the reference of every comparison."""

    Config = Config
    quantizes = False
    trains = False
    reference = True

    def begin(self, batches: Sequence[Batch]) -> None:
        """Do nothing: there are no grids to calibrate."""

    def end(self, batches: Sequence[Batch]) -> None:
        """Re-estimate BatchNorm statistics only if the weights were trained."""
        if self.total_steps:
            super().end(batches)


METHOD = FullPrecision
