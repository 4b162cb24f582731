"""Blurs by a fixed linear filter: Gaussian, defocus and zoom."""

from functools import lru_cache

import numpy as np
import torch
from scipy.ndimage import correlate1d
from torch import Tensor
from torch.nn import functional as F

from flatqat.data.corruptions._draw import Draw
from flatqat.data.corruptions._smooth import gaussian, smooth, snap
from flatqat.data.corruptions._zoom import side_by_side, zoom
from flatqat.data.corruptions.constants import Constants

# Up to here a sum over taps beats the Fourier transform.
_FEW_TAPS = 7 * 7


def gaussian_blur(images: Tensor, draw: Draw, constants: Constants) -> Tensor:
    """Constants: (sigma in pixels,)."""
    return smooth(images, constants[0])


def defocus_blur(images: Tensor, draw: Draw, constants: Constants) -> Tensor:
    """A disk's mean; borders mirror about the edge pixels. Constants: (radius, sigma of the disk's edge).

    Few taps have weights in multiples of 2^-16, so that their sums are exact in float32. Fourier transforms
    go image by image, since one over a batch may round in another way.
    """
    kernel = disk(*constants)
    reach = len(kernel) // 2
    height, width = images.shape[2:]
    padded = F.pad(images.float(), (reach,) * 4, mode="reflect")
    if kernel.numel() > _FEW_TAPS:
        filtered = [_convolved(x, constants) for x in padded]
        return torch.stack([x[:, reach : reach + height, reach : reach + width] for x in filtered])
    kernel = snap(kernel.flatten(), 16).view_as(kernel)
    total = torch.zeros(images.shape, device=images.device)
    for dy, dx in kernel.nonzero().tolist():
        total.add_(padded[..., dy : dy + height, dx : dx + width], alpha=float(kernel[dy, dx]))
    return total


def zoom_blur(images: Tensor, draw: Draw, constants: Constants) -> Tensor:
    """The mean of the image and its zooms by 1, 1 + step, ... below `stop`. Constants: (stop, step)."""
    x = side_by_side(images)
    factors = np.arange(1, *constants).tolist()
    total = x * 2  # the image, and its zoom by 1
    for factor in factors[1:]:
        total += zoom(x, factor)
    channels = total[0, : images[:, :, 0, 0].numel()] / (len(factors) + 1)
    return channels.reshape(images.shape)


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


def _convolved(x: Tensor, constants: Constants) -> Tensor:
    """Circular convolution of x (C, H, W) with a disk, at a size that has room for x."""
    size = [_fast_size(n) for n in x.shape[1:]]
    spectrum = torch.fft.rfft2(x, s=size) * _disk_spectrum(constants, *size).to(x.device)
    result: Tensor = torch.fft.irfft2(spectrum, s=size)
    return result


def _fast_size(n: int) -> int:
    """The next 2^k or 3 * 2^k."""
    power: int = 1 << (n - 1).bit_length()
    return power * 3 // 4 if n <= power * 3 // 4 else power


@lru_cache(maxsize=10)
def _disk_spectrum(constants: Constants, height: int, width: int) -> Tensor:
    """float32 (height, width // 2 + 1): real, since a disk is symmetric about its middle."""
    kernel = disk(*constants)
    reach = len(kernel) // 2
    spread = torch.zeros(height, width, dtype=torch.float64)
    spread[: len(kernel), : len(kernel)] = kernel
    spectrum: Tensor = torch.fft.rfft2(spread.roll((-reach, -reach), (0, 1)))
    return spectrum.real.float()
