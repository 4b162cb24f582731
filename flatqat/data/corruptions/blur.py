"""Blurs with a fixed linear filter: Gaussian, defocus and zoom."""

import numpy as np
import torch
from scipy.ndimage import correlate1d
from torch import Tensor

from flatqat.data.corruptions._draw import Draw
from flatqat.data.corruptions._filter import apart, correlated, side_by_side
from flatqat.data.corruptions._smooth import gaussian, smooth
from flatqat.data.corruptions._zoom import zoom
from flatqat.data.corruptions.constants import Constants


def gaussian_blur(images: Tensor, draw: Draw, constants: Constants) -> Tensor:
    """Smooth with a Gaussian. Constants: (sigma in pixels,)."""
    return smooth(images, constants[0])


def defocus_blur(images: Tensor, draw: Draw, constants: Constants) -> Tensor:
    """Average over a disk; borders mirror about the edge pixels. Constants: (radius, sigma of its edge)."""
    kernel = disk(*constants)
    return apart(correlated(side_by_side(images, mirrored=len(kernel) // 2), kernel), images.shape)


def zoom_blur(images: Tensor, draw: Draw, constants: Constants) -> Tensor:
    """Average the image and its zooms by 1, 1 + step, ... below `stop`. Constants: (stop, step)."""
    x = side_by_side(images).contiguous(memory_format=torch.channels_last)
    factors = np.arange(1, *constants).tolist()
    total = x * 2  # the image, and its zoom by 1
    for factor in factors[1:]:
        total += zoom(x, factor)
    return apart(total.div_(len(factors) + 1), images.shape)


def disk(radius: float, alias_blur: float) -> Tensor:
    """Return the kernel of defocus, float64 (n, n): a disk on the pixel grid with a softened edge.

    Radii that fill the kernel's square, 8 and 10, gain 1.3% and 1.1% of light, because the softening mirrors
    at its border; so do the benchmark's images.
    """
    reach, soft = (8, 1) if radius <= 8 else (int(radius), 2)
    offsets = np.arange(-reach, reach + 1)
    kernel = (offsets[:, None] ** 2 + offsets**2 <= radius**2).astype(np.float64)
    kernel /= kernel.sum()
    weights = gaussian(alias_blur, soft).numpy()
    for axis in (0, 1):
        kernel = correlate1d(kernel, weights, axis, mode="mirror")
    kernel[kernel < 2**-40] = 0  # it changes no sum, and the tiniest numbers are processed very slowly
    used = np.flatnonzero(kernel.max(0))
    return torch.from_numpy(kernel[used[0] : used[-1] + 1, used[0] : used[-1] + 1])
