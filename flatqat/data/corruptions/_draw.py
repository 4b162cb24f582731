"""Random numbers by counter: each is a hash of (image id, corruption, severity, field, element).

Nothing is carried from one number to the next, so an image gets the same ones in any batch, order, worker
or device. The hash is the finaliser of splitmix64 (Steele, Lea & Flood 2014), applied to the key plus the
element times the golden ratio, as that generator does with its own counter.
"""

import hashlib
from dataclasses import dataclass
from math import prod, tau

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Draw:
    """The random numbers of a batch: `keys` is int64 (B,), one key for each image."""

    keys: Tensor

    @classmethod
    def of(cls, ids: Tensor, name: str, severity: int) -> "Draw":
        """The draw of images `ids` (B,) under one corruption at one severity."""
        return cls(_mix(_mix(ids.long()) ^ _hash(f"{name}/{severity}")))

    def bits(self, field: str, size: int) -> Tensor:
        """`size` words of 64 bits for each image: int64 (B, size). Fields are independent of each other."""
        counter = torch.arange(1, size + 1, device=self.keys.device) * _GOLDEN
        return _mix((self.keys ^ _hash(field))[:, None] + counter)

    def uniform(self, field: str, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        """float32 (B, *shape), uniform on [low, high) in 2^24 steps; two from each word."""
        size = prod(shape)
        bits = self.bits(field, (size + 1) // 2)
        steps = torch.cat([_high(bits), _low(bits)], 1)[:, :size]
        return (steps.float().mul_((high - low) * 2.0**-24).add_(low)).view(-1, *shape)

    def normal(self, field: str, *shape: int) -> Tensor:
        """float32 (B, *shape), standard normal by Box and Muller; two from each word."""
        size = prod(shape)
        bits = self.bits(field, (size + 1) // 2)
        radius = (_high(bits) + 1).float().mul_(2.0**-24).log_().mul_(-2).sqrt_()
        angle = _low(bits).float().mul_(tau * 2.0**-24)
        return torch.cat([radius * angle.cos(), radius * angle.sin()], 1)[:, :size].view(-1, *shape)

    def words(self, field: str, *shape: int) -> Tensor:
        """int64 (B, *shape), uniform on 0 .. 2^32 - 1."""
        size = prod(shape)
        bits = self.bits(field, (size + 1) // 2)
        return torch.cat([_shift(bits, 32), bits & 0xFFFFFFFF], 1)[:, :size].view(-1, *shape)

    def integers(self, field: str, *shape: int, low: int, high: int) -> Tensor:
        """int64 (B, *shape), uniform on low .. high - 1 < 2^31; the bias is below (high - low) / 2^32."""
        return self.words(field, *shape).mul_(high - low).bitwise_right_shift_(32).add_(low)


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big", signed=True)


def _signed(value: int) -> int:
    return value - 2**64 if value >= 2**63 else value


_GOLDEN = _signed(0x9E3779B97F4A7C15)
_FACTORS = (_signed(0xBF58476D1CE4E5B9), _signed(0x94D049BB133111EB))


def _mix(x: Tensor) -> Tensor:
    x = (x ^ _shift(x, 30)) * _FACTORS[0]
    x = (x ^ _shift(x, 27)).mul_(_FACTORS[1])
    return x.bitwise_xor_(_shift(x, 31))


def _shift(x: Tensor, by: int) -> Tensor:
    """Shift right and fill with zeros: int64 alone would copy the sign."""
    return (x >> by).bitwise_and_((1 << (64 - by)) - 1)


def _high(bits: Tensor) -> Tensor:
    return _shift(bits, 40)


def _low(bits: Tensor) -> Tensor:
    return bits & 0xFFFFFF
