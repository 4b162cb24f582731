"""Blurs by a fixed linear filter: Gaussian, defocus and zoom."""

from functools import lru_cache

import numpy as np
import torch
from scipy.fft import next_fast_len
from scipy.ndimage import correlate1d
from torch import Tensor
from torch.nn import functional as F

from flatqat.data.corruptions._draw import Draw
from flatqat.data.corruptions._smooth import gaussian, smooth, snap
from flatqat.data.corruptions._zoom import source, zoom
from flatqat.data.corruptions.constants import Constants

# Up to here a sum over taps beats the Fourier transform, and one dense matrix beats a sum over zooms.
_FEW_TAPS = 7 * 7
_FEW_PIXELS = 48 * 48


def gaussian_blur(images: Tensor, draw: Draw, constants: Constants) -> Tensor:
    """Constants: (sigma in pixels,)."""
    return smooth(images, constants[0])


def defocus_blur(images: Tensor, draw: Draw, constants: Constants) -> Tensor:
    """A disk's mean; borders mirror about the edge pixels. Constants: (radius, sigma of the disk's edge).

    Weights are multiples of 2^-16. Sums over few taps are then exact in float32, and the Fourier transform's
    float64 rounds to the true multiple of 2^-16 without doubt.
    """
    kernel = disk(*constants)
    kernel = snap(kernel.flatten(), 16).view_as(kernel)
    reach = len(kernel) // 2
    height, width = images.shape[2:]
    padded = F.pad(images.double(), (reach,) * 4, mode="reflect")
    if kernel.numel() <= _FEW_TAPS:
        padded, total = padded.float(), torch.zeros(images.shape, device=images.device)
        for dy, dx in kernel.nonzero().tolist():
            total.add_(padded[..., dy : dy + height, dx : dx + width], alpha=float(kernel[dy, dx]))
        return total
    size = [next_fast_len(n, real=True) for n in padded.shape[2:]]
    spectrum = torch.fft.rfft2(padded, s=size) * torch.fft.rfft2(kernel.to(images.device), s=size).conj()
    result: Tensor = torch.fft.irfft2(spectrum, s=size)[..., :height, :width]
    return (result * 2.0**16).round_().mul_(2.0**-16)


def zoom_blur(images: Tensor, draw: Draw, constants: Constants) -> Tensor:
    """The mean of the image and its zooms by 1, 1 + step, ... below `stop`. Constants: (stop, step)."""
    height, width = images.shape[2:]
    if height * width <= _FEW_PIXELS:
        # A GPU may multiply float32 with fewer bits (TF32); sums of multiples of 2^-16 would not stay exact.
        dtype = torch.float32 if images.device.type == "cpu" else torch.float64
        matrix = _zooms_matrix(constants, height, width).to(images.device, dtype)
        return (images.to(dtype).flatten(2).flatten(0, 1) @ matrix).view(images.shape)
    x = images.float()
    total, factors = x.clone(), np.arange(1, *constants).tolist()
    for factor in factors:
        total += zoom(x, factor)
    return total / (len(factors) + 1)


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


@lru_cache(maxsize=10)
def _zooms_matrix(constants: Constants, height: int, width: int) -> Tensor:
    """float32 (H W, H W): column j holds the weights of output j. Zooming one axis is a matrix, both is their
    Kronecker product, and all zooms add up."""
    factors = np.arange(1, *constants).tolist()
    rows, columns = (torch.stack([_zoom_axis(n, f) for f in factors]) for n in (height, width))
    pixels = height * width
    total = torch.einsum("kia,kjb->ijab", rows, columns).reshape(pixels, pixels)
    total.diagonal().add_(1)
    return snap(total / (len(factors) + 1), 16).T.float().contiguous()


def _zoom_axis(size: int, factor: float) -> Tensor:
    low, share = source(size, factor)
    matrix, at = torch.zeros(size, size, dtype=torch.float64), torch.arange(size)
    matrix[at, low], matrix[at, low + 1] = 1 - share.double(), share.double()
    return matrix
