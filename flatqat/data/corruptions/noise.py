"""Noise of the sensor: Gaussian, shot, impulse and speckle."""

from functools import lru_cache

import numpy as np
import torch
from scipy.special import pdtr
from torch import Tensor

from flatqat.data.corruptions._draw import Draw
from flatqat.data.corruptions.constants import Constants

_BUCKET_BITS = 10


def gaussian_noise(images: Tensor, draw: Draw, constants: Constants) -> Tensor:
    """x + c n with n standard normal, drawn for each channel. Constants: (c,)."""
    (scale,) = constants
    return images.float() + 255 * scale * draw.normal("noise", *images.shape[1:])


def speckle_noise(images: Tensor, draw: Draw, constants: Constants) -> Tensor:
    """x + c x n with n standard normal. Constants: (c,)."""
    (scale,) = constants
    return images.float() * (1 + scale * draw.normal("noise", *images.shape[1:]))


def impulse_noise(images: Tensor, draw: Draw, constants: Constants) -> Tensor:
    """Each value of each channel is replaced with probability c, half by 0, half by 255. Constants: (c,)."""
    (amount,) = constants
    u = draw.uniform("where", *images.shape[1:])
    return images.masked_fill(u < amount, 255).masked_fill(u < amount / 2, 0)


def shot_noise(images: Tensor, draw: Draw, constants: Constants) -> Tensor:
    """Poisson(c x) / c: c photons make full white. Constants: (c,).

    An inverse distribution function, exact to 2^-32: a guide table gives the count at the start of the
    uniform's bucket, and the few that lie further walk on.
    """
    (photons,) = constants
    thresholds, guide = (t.to(images.device) for t in _poisson_tables(int(photons)))
    grey = images.flatten().long()
    u = draw.words("photons", *images.shape[1:]).flatten()
    counts = guide.take((grey << _BUCKET_BITS) + (u >> (32 - _BUCKET_BITS))).long()
    row = grey * thresholds.shape[1]
    walking = (u >= thresholds.take(row + counts)).nonzero()[:, 0]
    while len(walking):
        counts[walking] += 1
        walking = walking[u[walking] >= thresholds.take(row[walking] + counts[walking])]
    return counts.view(images.shape).float() * (255 / photons)


@lru_cache
def _poisson_tables(photons: int) -> tuple[Tensor, Tensor]:
    """Thresholds int64 (256, photons + 1) and guide int16 (256, 2^10).

    A count is k where k is the first with u < thresholds[grey, k], u uniform on 0 .. 2^32 - 1. Counts over
    `photons` are white anyway and fall together with it.
    """
    rates = np.arange(256)[:, None] * photons / 255
    thresholds = np.ceil(pdtr(np.arange(photons + 1), rates) * 2**32).astype(np.int64)
    thresholds[:, -1] = 2**32
    thresholds[0] = 2**32  # black: scipy has no Poisson distribution of rate 0
    starts = np.arange(2**_BUCKET_BITS) << (32 - _BUCKET_BITS)
    guide = np.stack([row.searchsorted(starts, side="right") for row in thresholds])
    return torch.from_numpy(thresholds), torch.from_numpy(guide.astype(np.int16))
