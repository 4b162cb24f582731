"""LSQ+: LSQ for weights; for inputs an offset β is learned beside the step size, so that no code is wasted.

x̂ = s · round(clip((x − β) / s, 0, 2^b − 1)) + β. The gradients are those of `fake_quantize`, β's is 0 inside
the range and 1 outside; both parameters take LSQ's factor g = 1 / sqrt(N · (2^b − 1)). Weights have no offset
and the signed grid of LSQ.

Start of weights: s = max(|μ − 3σ|, |μ + 3σ|) / 2^(b−1), per channel. Start of inputs: (s, β) of the smallest
mean squared rounding error, here by search: over fractions of the whole range, as by the rule `mse`, then,
where there are negative values, of its upper and of its lower end alone.

Source: Bhalgat et al. 2020, "LSQ+: Improving low-bit quantization through learnable offsets and better
initialization" (arXiv 2004.09576). Implementations differ: MQBench starts weights at half of the paper's step
size (it divides by 2^b); some take signed codes for inputs, which is the same set of levels with another β.
Since β is a real number, zero need not be a level.
"""

from math import sqrt
from typing import ClassVar

import torch
from torch import Tensor, nn

from flatqat.quant.base import MSE_FRACTIONS, Quantizer, Role
from flatqat.quant.observe import Observer
from flatqat.quant.ops import fake_quantize, from_codes, full_precision, to_codes


class LSQPlus(Quantizer):
    learns_scale = True
    offset_roles: ClassVar[tuple[Role, ...]] = ("input",)

    def __init__(self, *, bits: int, role: Role, scale_shape: tuple[int, ...] = ()) -> None:
        super().__init__(bits=bits, role=role, scale_shape=scale_shape)
        self.offset: nn.Parameter | None = None
        if role in self.offset_roles:
            self.offset = nn.Parameter(torch.zeros(scale_shape))
            self.set_bounds(0, 2**bits - 1)

    def project(self, u: Tensor) -> Tensor:
        return fake_quantize(u, self.step_size, self.qmin, self.qmax, self.grad_factor(u), self.offset)

    def codes(self, v: Tensor) -> Tensor:
        v = full_precision(v)
        return to_codes(v if self.offset is None else v - self.offset, self.step_size, self.qmin, self.qmax)

    def dequantize(self, codes: Tensor) -> Tensor:
        levels = from_codes(codes, self.step_size)
        return levels if self.offset is None else levels + self.offset

    def in_range(self, v: Tensor) -> Tensor:
        return super().in_range(v if self.offset is None else full_precision(v) - self.offset)

    def grad_scale(self, v: Tensor) -> float:
        shared = v.numel() / self.scale.numel() if self.role == "weight" else v[0].numel()
        return 1 / sqrt(shared * self.qmax)

    def set_signed(self, signed: bool) -> None:
        """The offset takes the sign's place."""

    def set_range(self, low: Tensor, high: Tensor) -> None:
        if self.offset is None:
            return super().set_range(low, high)
        self.set_scale((high - low) / (self.qmax - self.qmin))
        self.offset.data.copy_(low)
        return None

    def initialize(self, seen: Observer) -> None:
        if self.offset is None:
            mean, deviation = seen.reduce(seen.values), 3 * seen.std()
            self.set_scale(torch.maximum((mean - deviation).abs(), (mean + deviation).abs()) / -self.qmin)
        else:
            self._search(seen)
            if bool((seen.low < 0).any()):
                self._search_ends(seen)

    def _search_ends(self, seen: Observer) -> None:
        """Move the upper end of the range, then the lower one, to where the error is smallest."""
        assert self.offset is not None
        for upper in (True, False):
            low = self.offset.detach().clone()
            high = low + self.step_size.detach() * self.qmax
            tried = [
                (low, seen.high * fraction) if upper else (seen.low * fraction, high)
                for fraction in MSE_FRACTIONS
            ]
            errors = []
            for ends in [(low, high), *tried]:
                self.set_range(*ends)
                errors.append((self.quantize(seen.values) - seen.values).square().mean().item())
            self.set_range(*[(low, high), *tried][errors.index(min(errors))])


QUANTIZER = LSQPlus
