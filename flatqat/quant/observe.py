"""Running statistics of a tensor, for calibration."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from math import ceil
from typing import Any

import torch
from torch import Tensor

from flatqat.quant.kernels.layout import channel_axis

VALUES_PER_BATCH = 2**16


class Observer:
    """Collects the extremes, of the scale's shape, and a sample of the values.

    With one scale per tensor (`scale_shape == ()`) the sample is random and flat. With one scale per output
    channel, or with `keep_all`, it is the whole tensor, which must then be observed only once (a weight), and
    which must not change.

    Attributes:
        low: The smallest value observed or zero, whichever is smaller: the grid must contain zero.
        high: The largest value observed or zero, whichever is larger.
        first_mean_abs: Mean absolute value of the first tensor: LSQ is initialized from the first batch.
    """

    low: Tensor
    high: Tensor
    first_mean_abs: Tensor

    def __init__(self, scale_shape: tuple[int, ...], *, keep_all: bool = False) -> None:
        self.scale_shape, self.keep_all = scale_shape, keep_all or bool(scale_shape)
        self._values: list[Tensor] = []

    def add(self, v: Tensor) -> None:
        """Observe one tensor; all tensors have the same shape except for the batch axis."""
        low, high = v.amin(self._axes(v)).view(self.scale_shape), v.amax(self._axes(v)).view(self.scale_shape)
        if not self.has_values:
            self.low, self.high = low.clamp_max(0), high.clamp_min(0)
            self.first_mean_abs = self.reduce(v.abs())
        self.low, self.high = torch.minimum(self.low, low), torch.maximum(self.high, high)
        self._values.append(v if self.keep_all else _sample(v.flatten()))

    @property
    def has_values(self) -> bool:
        """Whether anything was observed."""
        return bool(self._values)

    @property
    def values(self) -> Tensor:
        """The sample of all tensors, concatenated."""
        return torch.cat(self._values)

    def quantile(self, fraction: float) -> Tensor:
        """Return the quantile of the sample at `fraction`, interpolated linearly."""
        ordered = by_scale(self.values, self.scale_shape).sort(-1).values
        position = fraction * (ordered.shape[-1] - 1)
        lower, upper = ordered[..., int(position)], ordered[..., ceil(position)]
        return torch.lerp(lower, upper, position % 1).view(self.scale_shape)

    def reduce(self, v: Tensor) -> Tensor:
        """Return the mean of `v` over the values that share a scale."""
        return v.mean(self._axes(v)).view(self.scale_shape)

    def std(self, *, correction: int = 0) -> Tensor:
        """Return the standard deviation over the n values that share a scale; with 1, by n − 1."""
        values = by_scale(self.values, self.scale_shape)
        return values.std(1, correction=min(correction, values.shape[1] - 1)).view(self.scale_shape)

    def _axes(self, v: Tensor) -> tuple[int, ...]:
        kept = channel_axis(self.scale_shape)
        return tuple(axis for axis in range(v.ndim) if axis != kept)


@contextmanager
def observing(quantizers: Collection[Any]) -> Iterator[None]:
    """Within the context, quantizers observe their tensors (`observer`) and return them unchanged."""
    for quantizer in quantizers:
        quantizer.observer = Observer(tuple(quantizer.scale.shape))
    try:
        yield
    finally:
        for quantizer in quantizers:
            quantizer.observer = None


def by_scale(v: Tensor, scale_shape: tuple[int, ...]) -> Tensor:
    """Return the values as (scales, everything else)."""
    axis = channel_axis(scale_shape)
    return v.flatten()[None] if axis is None else v.movedim(axis, 0).flatten(1)


def _sample(values: Tensor) -> Tensor:
    """Return a copy of at most VALUES_PER_BATCH random values, since the network may go on to change them.

    A fixed stride could share a factor with the width.
    """
    if len(values) <= VALUES_PER_BATCH:
        return values.clone()
    index = torch.randint(len(values), (VALUES_PER_BATCH,), generator=torch.Generator().manual_seed(0))
    return values[index.to(values.device)]
