"""Running statistics of a tensor, for calibration."""

from math import ceil

import torch
from torch import Tensor

VALUES_PER_BATCH = 2**16


class Observer:
    """Smallest, largest and mean absolute value, each of the scale's shape, and a sample of the values.

    With one scale per tensor (`scale_shape == ()`) the sample is drawn at random, flat. With one per output
    channel, or if asked for, it is the `whole` tensor, which is then observed once (a weight).
    """

    def __init__(self, scale_shape: tuple[int, ...], *, whole: bool = False) -> None:
        self.scale_shape, self.whole = scale_shape, whole or bool(scale_shape)
        self._low: list[Tensor] = []
        self._high: list[Tensor] = []
        self._mean_abs: list[Tensor] = []
        self._values: list[Tensor] = []

    def add(self, v: Tensor) -> None:
        """Take in one tensor, of the same shape as those before it but for the batch axis."""
        axes = self._axes(v)
        self._low.append(v.amin(axes).view(self.scale_shape))
        self._high.append(v.amax(axes).view(self.scale_shape))
        self._mean_abs.append(v.abs().mean(axes).view(self.scale_shape))
        self._values.append(v if self.whole else _sample(v.flatten()))

    @property
    def seen_any(self) -> bool:
        return bool(self._low)

    @property
    def low(self) -> Tensor:
        """The smallest value seen, at most zero: zero must be on the grid."""
        return torch.stack(self._low).amin(0).clamp_max(0)

    @property
    def high(self) -> Tensor:
        """The largest value seen, at least zero."""
        return torch.stack(self._high).amax(0).clamp_min(0)

    @property
    def first_mean_abs(self) -> Tensor:
        """Mean absolute value of the first tensor, as LSQ starts from the first batch."""
        return self._mean_abs[0]

    @property
    def values(self) -> Tensor:
        return torch.cat(self._values)

    def quantile(self, share: float) -> Tensor:
        """The value below which that share of the sample lies, linear between its neighbours."""
        ordered = self.values.flatten(1 if self.scale_shape else 0).sort(-1).values
        position = share * (ordered.shape[-1] - 1)
        lower, upper = ordered[..., int(position)], ordered[..., ceil(position)]
        return torch.lerp(lower, upper, position % 1).view(self.scale_shape)

    def reduce(self, v: Tensor) -> Tensor:
        """Mean over all that shares a scale."""
        return v.mean(self._axes(v)).view(self.scale_shape)

    def std(self) -> Tensor:
        """Standard deviation of the values that share a scale."""
        return self.values.std(self._axes(self.values), correction=0).view(self.scale_shape)

    def _axes(self, v: Tensor) -> tuple[int, ...]:
        return tuple(range(1 if self.scale_shape else 0, v.ndim))


def _sample(values: Tensor) -> Tensor:
    """At most VALUES_PER_BATCH of them, by a fixed seed: a stride could share a factor with the width."""
    if len(values) <= VALUES_PER_BATCH:
        return values
    index = torch.randint(len(values), (VALUES_PER_BATCH,), generator=torch.Generator().manual_seed(0))
    return values[index.to(values.device)]
