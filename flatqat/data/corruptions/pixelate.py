"""Pixelate: loss of resolution, on the CPU."""

from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from flatqat.data.corruptions._draw import Draw
from flatqat.data.corruptions.constants import Constants

_LANES = 16  # bytes: items of whole vectors are moved fastest
_SMALL = 128  # pixels of a box
_PLANES, _PIXELS = 64, 512  # rows that are transposed at once

Levels = npt.NDArray[np.uint8]
Total = npt.NDArray[np.uint16] | npt.NDArray[np.uint32]
Index = npt.NDArray[np.int64]


def pixelate(images: Tensor, draw: Draw, constants: Constants) -> Tensor:
    """Box-filter down to the fraction c of each side, then up again. Constants: (c,).

    This equals Pillow's BOX resize in both directions, bit by bit: its horizontal pass comes first, and each
    pass rounds to whole gray levels. The batch comes last, so that whole vectors of pixels are moved.
    """
    (fraction,) = constants
    height, width = images.shape[2:]
    planes = images.cpu().numpy().reshape(-1, height * width)
    lanes = len(planes) + -len(planes) % _LANES
    x = np.empty((height * width, lanes), np.uint8)
    _transpose(planes, x[:, : len(planes)], _PLANES)
    x, columns = _shrunk(x.reshape(height, width, lanes), int(width * fraction), 1)
    x, rows = _shrunk(x, int(height * fraction), 0)
    x = x.take(columns[_nearest(len(columns), width)], 1)
    found = np.empty((len(planes), len(x) * width), np.uint8)
    _transpose(x.reshape(-1, lanes)[:, : len(planes)], found, _PIXELS)
    found = found.reshape(len(planes), -1, width).take(rows[_nearest(len(rows), height)], 1)
    return torch.from_numpy(found).view(images.shape).to(images.device)


def _transpose(source: Levels, target: Levels, block: int) -> None:
    """Write the transpose of `source` to `target`, so many rows at a time that both stay in the cache."""
    for start in range(0, len(source), block):
        target[:, start : start + block] = source[start : start + block].T


def _shrunk(x: Levels, size: int, axis: int) -> tuple[Levels, Index]:
    """Box-filter an axis to `size`. Return the means, and where that of each box is among them.

    Boxes of as many pixels are averaged together.
    """
    first, counts = _boxes(x.shape[axis], size)
    means = []
    for count in np.unique(counts).tolist():
        boxes = first[counts == count]
        total = x.take(boxes, axis).astype(np.uint16 if count < _SMALL else np.uint32)
        for i in range(1, count):
            total += x.take(boxes + i, axis)
        means.append(_mean(total, count))
    return np.concatenate(means, axis), counts.argsort(kind="stable").argsort()


def _mean(total: Total, count: int) -> Levels:
    """Divide sums of `count` levels as Pillow does, which multiplies by 1 / count in 22-bit fixed point.

    In small boxes the error of that decides no more than whether a half is rounded up, and 16 bits will do.
    """
    weight = int(2**22 / count + 0.5)
    if count >= _SMALL:
        return ((total * weight + 2**21) >> 22).astype(np.uint8)
    total += count // 2 if weight * count >= 2**22 else (count - 1) // 2
    return (total // np.uint16(count)).astype(np.uint8)


@lru_cache
def _boxes(size: int, out: int) -> tuple[Index, Index]:
    """Return the first pixel whose middle is in each of `out` boxes, and how many pixels are."""
    scale = size / out
    middles = (np.arange(out) + 0.5) * scale
    offset = (np.arange(size)[:, None] + 0.5 - middles) / scale
    inside = (offset > -0.5) & (offset <= 0.5)
    return inside.argmax(0), inside.sum(0)


def _nearest(size: int, out: int) -> Index:
    """Return the pixel, of `size`, in which the middle of each of `out` boxes is."""
    return ((np.arange(out) + 0.5) * (size / out)).astype(np.int64)
