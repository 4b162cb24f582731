"""Noise of the sensor: Gaussian, shot, impulse and speckle."""

from functools import lru_cache

import numpy as np
import torch
from scipy.special import pdtr
from torch import Tensor

from flatqat.data.corruptions._draw import Draw
from flatqat.data.corruptions.constants import Constants

_BUCKET_BITS = 12


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

    An inverse distribution function, exact to 2^-32. Most uniforms lie in a bucket that holds a single
    count, which a table knows; the others walk from their bucket's first count on.
    """
    (photons,) = constants
    thresholds, table = (t.to(images.device) for t in _poisson_tables(int(photons)))
    grey = images.flatten().long()
    u = draw.words("photons", *images.shape[1:]).flatten()
    counts = table.flatten().index_select(0, (grey << _BUCKET_BITS) + (u >> (32 - _BUCKET_BITS)))
    walking = (counts < 0).nonzero()[:, 0]
    u, at = u[walking], thresholds.shape[1] * grey[walking] + ~counts[walking]
    further = (u >= thresholds.take(at)).nonzero()[:, 0]
    while len(further):
        at[further] += 1
        further = further[u[further] >= thresholds.take(at[further])]
    counts[walking] = (at % thresholds.shape[1]).to(counts.dtype)
    return counts.view(images.shape).float().mul_(255 / photons)


@lru_cache
def _poisson_tables(photons: int) -> tuple[Tensor, Tensor]:
    """Thresholds int64 (256, photons + 1), counts int16 (256, 2^12).

    The count is the first k with u < thresholds[grey, k], u uniform on 0 .. 2^32 - 1. Counts over `photons`
    are white anyway and fall together with it. Where a bucket of uniforms holds several counts, the table has
    the first one's complement.
    """
    rates = np.arange(256)[:, None] * photons / 255
    thresholds = np.ceil(pdtr(np.arange(photons + 1), rates) * 2**32).astype(np.int64)
    thresholds[:, -1] = 2**32
    thresholds[0] = 2**32  # black: scipy has no Poisson distribution of rate 0
    width = 2**_BUCKET_BITS + 1
    bucket = ((thresholds - 1) >> (32 - _BUCKET_BITS)) + 1 + np.arange(256)[:, None] * width
    passed = np.bincount(bucket.flatten(), minlength=256 * width).reshape(256, width).cumsum(1)
    first, last = passed[:, :-1], passed[:, 1:]
    table = np.where(first == last, first, ~first)
    return torch.from_numpy(thresholds), torch.from_numpy(table.astype(np.int16))
