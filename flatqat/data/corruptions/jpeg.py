"""Loss of resolution and of bits: pixelate and JPEG, both on the CPU."""

import io
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from flatqat.data.corruptions._draw import Draw
from flatqat.data.corruptions.constants import Constants

# Values processed at once: as many as fit in the cache of a core.
_PART = 2**19


def pixelate(images: Tensor, draw: Draw, constants: Constants) -> Tensor:
    """Box-filter down to the fraction c of each side, then up again. Constants: (c,).

    This equals Pillow's BOX resize in both directions, bit by bit: its horizontal pass comes first, and each
    pass rounds to whole gray levels.
    """
    (fraction,) = constants
    size = images.shape[2:]
    small = [int(n * fraction) for n in size]
    rows, columns = (_nearest(m, n) for m, n in zip(small, size, strict=True))
    pixelated = []
    for part in images.cpu().split(max(1, _PART // images[0].numel())):
        x = _shrink(_shrink(part, small[1], 3), small[0], 2)
        pixelated.append(_taken(_taken(x, columns, 3), rows, 2))
    return torch.cat(pixelated).to(images.device)


def jpeg_compression(images: Tensor, draw: Draw, constants: Constants) -> Tensor:
    """Encode and decode with libjpeg, chroma at half resolution. Constants: (quality,)."""
    quality = int(constants[0])
    decoded = np.empty(images.shape, dtype=np.uint8)
    for planes, result in zip(images.cpu().numpy(), decoded, strict=True):
        image = _through_jpeg(planes, quality)
        for band, plane in zip("RGB", result, strict=True):
            plane[:] = np.frombuffer(image.tobytes("raw", band), dtype=np.uint8).reshape(plane.shape)
    return torch.from_numpy(decoded).to(images.device)


def _through_jpeg(planes: npt.NDArray[np.uint8], quality: int) -> Image.Image:
    """Encode and decode planes, as bands and without opening a file: faster than as an array of pixels."""
    size = (planes.shape[2], planes.shape[1])
    bands = [Image.frombuffer("L", size, plane, "raw", "L", 0, 1) for plane in planes]
    Image.merge("RGB", bands).save(buffer := io.BytesIO(), "JPEG", quality=quality)
    return Image.frombytes("RGB", size, buffer.getvalue(), "jpeg", "RGB", "")


def _shrink(x: Tensor, size: int, axis: int) -> Tensor:
    """Box-filter an axis of uint8 (B, C, H, W) to `size`: means of pixels, in Pillow's 22-bit fixed point."""
    first, counts = _boxes(x.shape[axis], size)
    along = (-1, *(1,) * (3 - axis))
    total = _taken(x, first, axis).short()
    for i in range(1, int(counts.max())):
        within = torch.from_numpy((i < counts).astype(np.uint8)).view(along)
        total += _taken(x, np.minimum(first + i, x.shape[axis] - 1), axis).mul_(within).short()
    weights = torch.from_numpy((2.0**22 / counts + 0.5).astype(np.int32)).view(along)
    return total.int().mul_(weights).add_(2**21).bitwise_right_shift_(22).byte()


def _taken(x: Tensor, index: npt.NDArray[np.int64], axis: int) -> Tensor:
    """Return x.index_select(axis, index), by numpy, which is several times faster for single bytes."""
    return torch.from_numpy(x.numpy().take(index, axis))


@lru_cache
def _boxes(size: int, out: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the first pixel whose middle is in each of `out` boxes, and how many pixels are."""
    scale = size / out
    middles = (np.arange(out) + 0.5) * scale
    offset = (np.arange(size)[:, None] + 0.5 - middles) / scale
    inside = (offset > -0.5) & (offset <= 0.5)
    return inside.argmax(0), inside.sum(0)


def _nearest(size: int, out: int) -> npt.NDArray[np.int64]:
    """Return the pixel, of `size`, in which the middle of each of `out` boxes is."""
    return ((np.arange(out) + 0.5) * (size / out)).astype(np.int64)
