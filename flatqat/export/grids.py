"""Grids as data: what a quantizer does to a tensor, in numbers that need no flatqat."""

from dataclasses import dataclass

import torch
from torch import Tensor

from flatqat.quant.lookup import bucketize, lookup
from flatqat.quant.ops import from_codes, to_codes


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedGrid:
    """The levels of the integer codes `low` .. `high`, evenly spaced or in a table.

    Evenly spaced, the level of a code is scale · code + offset, and a value v has the code
    clip(round((v - offset) / scale), low, high), rounded half to even. In a table it is the code-th level
    from `low`, and a value has as many codes below its own as thresholds are smaller than the value.

    Attributes:
        bits: The bit width of the quantizer.
        low: The smallest code.
        high: The largest code.
        axis: The axis of the tensor along which grids differ; None with one grid for the tensor.
        scale: The distance between adjacent levels, positive: () or (C,); None with a table.
        offset: The level of code 0, of the same shape; None for zero, and with a table.
        levels: The table, (n,) or (C, n) for n = high - low + 1; None if levels are evenly spaced.
        thresholds: The largest value of each code but the last, (n - 1,); None if levels are evenly spaced,
            and for weights, whose codes are stored.
    """

    bits: int
    low: int
    high: int
    axis: int | None = None
    scale: Tensor | None = None
    offset: Tensor | None = None
    levels: Tensor | None = None
    thresholds: Tensor | None = None

    @property
    def count(self) -> int:
        """The number of codes."""
        return self.high - self.low + 1

    def along(self, per_grid: Tensor, ndim: int) -> Tensor:
        """Return values of the shape () or (C,) so that they broadcast against a tensor of `ndim` axes."""
        if self.axis is None:
            return per_grid
        shape = [1] * ndim
        shape[self.axis] = -1
        return per_grid.view(shape)

    def codes(self, v: Tensor) -> Tensor:
        """Return the int32 code of each value."""
        if self.scale is not None:
            offset = 0 if self.offset is None else self.along(self.offset, v.ndim)
            return to_codes(v - offset, self.along(self.scale, v.ndim), self.low, self.high)
        assert self.thresholds is not None
        return bucketize(v, self.thresholds) + self.low

    def dequantize(self, codes: Tensor) -> Tensor:
        """Return the level of each code."""
        if self.scale is not None:
            levels = from_codes(codes, self.along(self.scale, codes.ndim))
            return levels if self.offset is None else levels + self.along(self.offset, codes.ndim)
        assert self.levels is not None
        index = codes - self.low
        if self.axis is not None:  # the tables of all channels behind each other
            index = index + self.along(torch.arange(len(self.levels)) * self.count, codes.ndim)
        return lookup(self.levels.flatten(), index)
