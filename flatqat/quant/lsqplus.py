"""LSQ+: LSQ with a learned offset β for inputs, so that asymmetric inputs use all codes.

x̂ = s · round(clip((x − β) / s, 0, 2^b − 1)) + β. The gradients are those of `fake_quantize`; β's is 0 inside
the range and 1 outside. The gradients of both parameters are multiplied by LSQ's g = 1 / sqrt(N · (2^b − 1)).
Weights have no offset and use the signed grid of LSQ.

Initial values for weights: s = max(|μ − 3σ|, |μ + 3σ|) / 2^(b−1), per channel. For inputs: the (s, β) with
the smallest mean squared rounding error, found here by search: over fractions of the whole range, as with
`ranges=mse`, and then, if there are negative values, over its upper and its lower end separately.

Source: Bhalgat et al. 2020, "LSQ+: Improving low-bit quantization through learnable offsets and better
initialization" (arXiv 2004.09576). Implementations differ: MQBench starts weights at half of the paper's step
size (it divides by 2^b); some use signed codes for inputs, which is the same set of levels with another β.
Since β is a real number, zero need not be a level.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn

from flatqat.quant.base import MSE_FRACTIONS, Role
from flatqat.quant.lsq import LSQ
from flatqat.quant.observe import Observer
from flatqat.quant.ops import fake_quantize, from_codes, full_precision, to_codes


class LSQPlus(LSQ):
    """LSQ+ (Bhalgat et al. 2020): LSQ for weights, a learned step size and offset for inputs."""

    offset_roles: ClassVar[tuple[Role, ...]] = ("input",)

    def __init__(self, *, bits: int, role: Role, scale_shape: tuple[int, ...] = ()) -> None:
        super().__init__(bits=bits, role=role, scale_shape=scale_shape)
        self.offset: nn.Parameter | None = None
        if role in self.offset_roles:
            self.offset = nn.Parameter(torch.zeros(scale_shape))
            self.set_bounds(0, 2**bits - 1)

    def project(self, u: Tensor) -> Tensor:
        """Round on the grid, shifted by the offset if there is one."""
        return fake_quantize(u, self.step_size, self.qmin, self.qmax, self.grad_factor(u), self.offset)

    def codes(self, v: Tensor) -> Tensor:
        """Return the codes of `v`, counted from the offset for inputs."""
        v = full_precision(v)
        return to_codes(v if self.offset is None else v - self.offset, self.step_size, self.qmin, self.qmax)

    def dequantize(self, codes: Tensor) -> Tensor:
        """Return the level of each code, offset included."""
        levels = from_codes(codes, self.step_size)
        return levels if self.offset is None else levels + self.offset

    def in_range(self, v: Tensor) -> Tensor:
        """Return whether each value is within the range of the shifted grid."""
        return super().in_range(v if self.offset is None else full_precision(v) - self.offset)

    def set_signed(self, signed: bool) -> None:
        """Do nothing: the offset makes a signed grid unnecessary."""

    def set_range(self, low: Tensor, high: Tensor) -> None:
        """Cover [low, high] exactly for inputs, symmetrically for weights."""
        if self.offset is None:
            return super().set_range(low, high)
        self.set_scale((high - low) / (self.qmax - self.qmin))
        self.offset.data.copy_(low)
        return None

    def initialize(self, observed: Observer) -> None:
        """Initialize weights by mean and deviation, inputs by searching for the smallest error."""
        if self.offset is None:
            mean, deviation = observed.reduce(observed.values), 3 * observed.std()
            self.set_scale(torch.maximum((mean - deviation).abs(), (mean + deviation).abs()) / -self.qmin)
        else:
            self._search(observed)
            if bool((observed.low < 0).any()):
                self._search_ends(observed)

    def _search_ends(self, observed: Observer) -> None:
        """Move the upper end of the range, then the lower end, to where the error is smallest."""
        assert self.offset is not None
        for upper in (True, False):
            low = self.offset.detach().clone()
            high = low + self.step_size.detach() * self.qmax
            candidates = [
                (low, observed.high * fraction) if upper else (observed.low * fraction, high)
                for fraction in MSE_FRACTIONS
            ]
            errors = []
            for ends in [(low, high), *candidates]:
                self.set_range(*ends)
                errors.append((self.quantize(observed.values) - observed.values).square().mean().item())
            self.set_range(*[(low, high), *candidates][errors.index(min(errors))])


QUANTIZER = LSQPlus
