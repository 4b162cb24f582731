"""LSQ+: LSQ with a learned offset β for inputs, so that asymmetric inputs use all codes.

x̂ = s · round(clip((x − β) / s, 0, 2^b − 1)) + β. The gradients are those of `fake_quantize`; β's is 0 inside
the range and 1 outside, and as in the paper's equations a value exactly on a bound is outside: behind a ReLU
β gets the gradient of every zero. The gradients of both parameters are multiplied by LSQ's
g = 1 / sqrt(N · (2^b − 1)). Weights have no offset and use the signed grid of LSQ.

Initial values for weights: s = max(|μ − 3σ|, |μ + 3σ|) / 2^(b−1), per channel. For inputs: the (s, β) with
the smallest mean squared rounding error, found here by the search of `ranges=mse`: over fractions of the
whole range, and then, if there are negative values, over its upper and its lower end separately.

Source: Bhalgat et al. 2020, "LSQ+: Improving low-bit quantization through learnable offsets and better
initialization" (arXiv 2004.09576). Implementations differ: MQBench starts weights at half of the paper's step
size (it divides by 2^b); some use signed codes for inputs, which is the same set of levels with another β.
Since β is a real number, zero need not be a level.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn

from flatqat.quant.base import Role
from flatqat.quant.lsq import LSQ
from flatqat.quant.observe import Observer
from flatqat.quant.search import MSE_FRACTIONS, rounding_errors


class LSQPlus(LSQ):
    """LSQ+ (Bhalgat et al. 2020): LSQ for weights, a learned step size and offset for inputs."""

    version = 2  # 1: a value on a bound counted as inside
    offset_roles: ClassVar[tuple[Role, ...]] = ("input",)
    offset_ends: ClassVar[tuple[bool, bool]] = (True, True)

    def __init__(self, *, bits: int, role: Role, scale_shape: tuple[int, ...] = ()) -> None:
        super().__init__(bits=bits, role=role, scale_shape=scale_shape)
        self.offset: nn.Parameter | None = None
        if role in self.offset_roles:
            self.offset, self.open_ends = nn.Parameter(torch.zeros(scale_shape)), self.offset_ends
            self.set_bounds(0, 2**bits - 1)

    @property
    def grid_offset(self) -> Tensor | None:
        """The offset, for inputs."""
        return self.offset

    def set_signed(self, signed: bool) -> None:
        """Do nothing: the offset makes a signed grid unnecessary."""

    def set_range(self, low: Tensor, high: Tensor) -> None:
        """Cover [low, high] exactly for inputs, symmetrically for weights."""
        if self.offset is None:
            super().set_range(low, high)
        else:
            self.set_scale((high - low) / (self.qmax - self.qmin))
            self.offset.data.copy_(low)

    def initialize(self, observed: Observer) -> None:
        """Initialize weights by mean and deviation, inputs by searching for the smallest error."""
        if self.offset is None:
            mean, deviation = observed.reduce(observed.values), 3 * observed.std()
            self.set_scale(torch.maximum((mean - deviation).abs(), (mean + deviation).abs()) / -self.qmin)
        else:
            self._search(observed)

    def _search(self, observed: Observer) -> None:
        """Also search both ends of the range of an input that has negative values."""
        super()._search(observed)
        if self.role == "input" and bool((observed.low < 0).any()):
            self._search_ends(observed)

    def _search_ends(self, observed: Observer) -> None:
        """Move the upper end of the range, then the lower end, to where the error is smallest."""
        assert self.offset is not None
        for upper in (True, False):
            low = self.offset.detach().clone()
            high = low + self.step_size.detach() * self.qmax
            ends = [(low, high)]
            ends += [(low, observed.high * f) if upper else (observed.low * f, high) for f in MSE_FRACTIONS]
            errors = rounding_errors(self, observed, ends).view(len(ends), -1).mean(1)
            self.set_range(*ends[int(errors.argmin())])


QUANTIZER = LSQPlus
