"""Blurs by a fixed linear filter: Gaussian, defocus and zoom."""

import numpy as np
import torch
from scipy.fft import next_fast_len
from scipy.ndimage import correlate1d
from torch import Tensor
from torch.nn import functional as F

from flatqat.data.corruptions._draw import Draw
from flatqat.data.corruptions._small import filtered
from flatqat.data.corruptions._smooth import gaussian, smooth, snap
from flatqat.data.corruptions._zoom import zoom
from flatqat.data.corruptions.constants import Constants


def gaussian_blur(images: Tensor, draw: Draw, constants: Constants) -> Tensor:
    """Constants: (sigma in pixels,)."""
    return smooth(images, constants[0])


def defocus_blur(images: Tensor, draw: Draw, constants: Constants) -> Tensor:
    """A disk's mean; borders mirror about the edge pixels. Constants: (radius, sigma of the disk's edge)."""
    return filtered(images, constants, _defocus)


def zoom_blur(images: Tensor, draw: Draw, constants: Constants) -> Tensor:
    """The mean of the image and its zooms by 1, 1 + step, ... below `stop`. Constants: (stop, step)."""
    return filtered(images, constants, _zooms)


def disk(radius: float, alias_blur: float) -> Tensor:
    """The kernel (n, n) of defocus, float64: a disk on the pixel grid, its edge softened by a Gaussian.

    Radii that fill the kernel's square (8 and 10) gain up to 1% of light, because the softening mirrors at
    its border; the benchmark's images have it too.
    """
    reach, soft = (8, 1) if radius <= 8 else (int(radius), 2)
    offsets = np.arange(-reach, reach + 1)
    kernel = (offsets[:, None] ** 2 + offsets**2 <= radius**2).astype(np.float64)
    kernel /= kernel.sum()
    weights = gaussian(alias_blur, soft).numpy()
    for axis in (0, 1):
        kernel = correlate1d(kernel, weights, axis, mode="mirror")
    used = np.flatnonzero(kernel.max(0) > 2**-20)
    return torch.from_numpy(kernel[used[0] : used[-1] + 1, used[0] : used[-1] + 1])


def _defocus(images: Tensor, constants: Constants) -> Tensor:
    """Convolution by FFT. The true result is a multiple of 2^-16, to which float64 rounds without doubt."""
    kernel = disk(*constants).to(images.device)
    kernel = snap(kernel.flatten(), 16).view_as(kernel)
    reach = len(kernel) // 2
    height, width = images.shape[2:]
    padded = F.pad(images.double(), (reach,) * 4, mode="reflect")
    size = [next_fast_len(n, real=True) for n in padded.shape[2:]]
    spectrum = torch.fft.rfft2(padded, s=size) * torch.fft.rfft2(kernel, s=size).conj()
    result: Tensor = torch.fft.irfft2(spectrum, s=size)[..., :height, :width]
    return (result * 2.0**16).round_().mul_(2.0**-16)


def _zooms(images: Tensor, constants: Constants) -> Tensor:
    stop, step = constants
    factors = np.arange(1, stop, step)
    x = images.float()
    total = x.clone()
    for factor in factors:
        total += zoom(x, float(factor))
    return total / (len(factors) + 1)
