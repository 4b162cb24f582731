"""Counter-based random numbers: each is a hash of (image id, corruption, severity, field, element).

No state is carried from one number to the next, so an image gets the same numbers in any batch, order, worker
or device. The hash is the finalizer of splitmix64 (Steele, Lea & Flood 2014), applied to the key plus the
element times the golden ratio, as that generator does with its own counter. A number has sixteen bits: far
finer than 256 gray levels show, at a quarter of the hashing that a word for each number would take.
"""

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from math import prod

import numpy as np
import torch
from scipy.special import ndtri
from torch import Tensor

STEPS = 2**16


@dataclass(frozen=True, slots=True)
class Draw:
    """The random numbers of a batch: `keys` is int64 (B,), one key for each image."""

    keys: Tensor

    @classmethod
    def of(cls, ids: Tensor, name: str, severity: int) -> "Draw":
        """Return the numbers of images `ids` (B,) under one corruption at one severity."""
        return cls(_mix(_mix(ids.long()) ^ _hash(f"{name}/{severity}")))

    def bits(self, field: str, size: int) -> Tensor:
        """Return `size` 64-bit words for each image, int64 (B, size); fields are independent."""
        counter = torch.arange(1, size + 1, device=self.keys.device) * _GOLDEN
        return _mix((self.keys ^ _hash(field))[:, None] + counter)

    def shorts(self, field: str, *shape: int) -> Tensor:
        """Return int16 (B, *shape), uniform on all its values; four of them come from each word."""
        size = prod(shape)
        return self.bits(field, -(-size // 4)).view(torch.int16)[:, :size].view(-1, *shape)

    def uniform(self, field: str, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Return float32 (B, *shape), uniform on the midpoints of 2^16 equal parts of [low, high]."""
        step = (high - low) / STEPS
        return self.shorts(field, *shape).float().mul_(step).add_((low + high + step) / 2)

    def normal(self, field: str, *shape: int) -> Tensor:
        """Return standard normal numbers, float32 (B, *shape).

        They are the quantiles of the midpoints of 2^16 equal parts of [0, 1]. The largest is 4.3 standard
        deviations; the variance is 1.
        """
        index = self.shorts(field, *shape).int().add_(STEPS // 2)
        return _quantiles(index.device).index_select(0, index.flatten()).view(index.shape)

    def integers(self, field: str, *shape: int, low: int, high: int) -> Tensor:
        """Return int32 (B, *shape), uniform on low .. high - 1 up to n / 2^16, for n = high - low < 2^15."""
        numbers = self.shorts(field, *shape).int().add_(STEPS // 2)
        return numbers.mul_(high - low).bitwise_right_shift_(16).add_(low)


@lru_cache(maxsize=4)
def _quantiles(device: torch.device) -> Tensor:
    """Return the quantiles of the normal distribution, float32 (2^16,)."""
    values = ndtri((np.arange(STEPS) + 0.5) / STEPS)
    return torch.from_numpy((values / values.std()).astype(np.float32)).to(device)


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big", signed=True)


def _signed(value: int) -> int:
    return value - 2**64 if value >= 2**63 else value


_GOLDEN = _signed(0x9E3779B97F4A7C15)
_FACTORS = (_signed(0xBF58476D1CE4E5B9), _signed(0x94D049BB133111EB))


def _mix(x: Tensor) -> Tensor:
    shifted = torch.empty_like(x)
    x = x ^ _shift(x, 30, shifted)
    x.mul_(_FACTORS[0]).bitwise_xor_(_shift(x, 27, shifted))
    return x.mul_(_FACTORS[1]).bitwise_xor_(_shift(x, 31, shifted))


def _shift(x: Tensor, by: int, out: Tensor) -> Tensor:
    """Shift right and fill with zeros, as int64 alone would copy the sign."""
    return torch.bitwise_right_shift(x, by, out=out).bitwise_and_((1 << (64 - by)) - 1)
