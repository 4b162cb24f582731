"""Sensor noise: Gaussian, shot, impulse and speckle."""

from functools import lru_cache

import numpy as np
import torch
from scipy.special import pdtr
from torch import Tensor

from flatqat.data.corruptions._draw import STEPS, Draw
from flatqat.data.corruptions.constants import Constants

_LEAF_BITS = 6
_LEAF = 2**_LEAF_BITS


def gaussian_noise(images: Tensor, draw: Draw, constants: Constants) -> Tensor:
    """Return x + c n with n standard normal, independent for each channel. Constants: (c,)."""
    (scale,) = constants
    return draw.normal("noise", *images.shape[1:]).mul_(255 * scale).add_(images.float())


def speckle_noise(images: Tensor, draw: Draw, constants: Constants) -> Tensor:
    """Return x + c x n with n standard normal. Constants: (c,)."""
    (scale,) = constants
    return draw.normal("noise", *images.shape[1:]).mul_(scale).add_(1).mul_(images.float())


def impulse_noise(images: Tensor, draw: Draw, constants: Constants) -> Tensor:
    """Replace each value of each channel with probability c, half of them by 0, half by 255. Constants: (c,).

    The sign of a random number says which, its other 15 bits whether. Both are masks of all bits, as
    comparisons are slow.
    """
    (amount,) = constants
    u = draw.shorts("where", *images.shape[1:])
    hit = (u & 0x7FFF).sub_(round(amount * 2**15)).bitwise_right_shift_(15)
    x = images.short()
    return x.bitwise_xor_(u.bitwise_right_shift(15).bitwise_xor_(x).bitwise_and_(hit)).byte()


def shot_noise(images: Tensor, draw: Draw, constants: Constants) -> Tensor:
    """Return Poisson(c x) / c: c photons are full white. Constants: (c,).

    This is the inverse distribution function of a random number of 16 bits. Its full table of 256 x 2^16
    levels would not fit in a cache; most of its leaves of 2^6 levels are identical and are stored once.
    """
    leaf_of, leaves = (t.to(images.device) for t in _poisson_tables(int(constants[0])))
    u = draw.shorts("photons", *images.shape[1:]).int().add_(STEPS // 2)
    index = images.int().bitwise_left_shift_(16 - _LEAF_BITS).bitwise_or_(u >> _LEAF_BITS)
    leaf = leaf_of.index_select(0, index.flatten()).view(index.shape)
    return leaves.index_select(0, leaf.add_(u.bitwise_and_(_LEAF - 1)).flatten()).view(index.shape)


@lru_cache(maxsize=10)
def _poisson_tables(photons: int) -> tuple[Tensor, Tensor]:
    """Return where the leaf of (gray level, upper bits) begins, int32, and the leaves, uint8 gray levels."""
    rates = np.arange(1, 256)[:, None] * photons / 255
    thresholds = np.full((256, photons), STEPS)  # no photons from black
    thresholds[1:] = np.rint(pdtr(np.arange(photons), rates) * STEPS)
    # The count of number u is that of the k with thresholds[gray, k] <= u; more than `photons` is white too.
    passed = np.zeros((256, STEPS + 1), dtype=np.int16)
    np.add.at(passed, (np.arange(256)[:, None], thresholds), 1)
    counts = passed[:, :-1].cumsum(1, dtype=np.int16).reshape(-1, _LEAF)
    # Leaves are identified by a hash of their counts, a polynomial modulo 2^64.
    hashes = counts.astype(np.int64) @ np.cumprod(np.full(_LEAF, 0x9E3779B97F4A7C15).astype(np.int64))
    _, first, leaf = np.unique(hashes, return_index=True, return_inverse=True)
    levels = (counts[first] / photons * 255).astype(np.uint8)
    return torch.from_numpy((leaf * _LEAF).astype(np.int32)), torch.from_numpy(levels.flatten())
