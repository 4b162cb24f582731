"""Loss of resolution and of bits: pixelate and JPEG."""

import io
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from flatqat.data.corruptions._draw import Draw
from flatqat.data.corruptions.constants import Constants


def pixelate(images: Tensor, draw: Draw, constants: Constants) -> Tensor:
    """Box-filtered down to the fraction c of each side, then up again. Constants: (c,).

    Equal to Pillow's BOX resize in both directions, bit by bit: its horizontal pass comes first, and each
    pass rounds to whole grey levels.
    """
    (fraction,) = constants
    height, width = images.shape[2:]
    x = _shrink(images, int(width * fraction))
    x = _shrink(x.transpose(2, 3), int(height * fraction)).transpose(2, 3)
    rows, columns = (_nearest(x.shape[d], images.shape[d], images.device) for d in (2, 3))
    return x.index_select(2, rows).index_select(3, columns)


def jpeg_compression(images: Tensor, draw: Draw, constants: Constants) -> Tensor:
    """Encoded and decoded again by libjpeg, chroma at half resolution. Constants: (quality,)."""
    quality = int(constants[0])
    pixels = images.permute(0, 2, 3, 1).cpu().contiguous().numpy()
    decoded = torch.stack([torch.from_numpy(_through_jpeg(x, quality)) for x in pixels])
    return decoded.permute(0, 3, 1, 2).contiguous().to(images.device)


def _through_jpeg(pixels: npt.NDArray[np.uint8], quality: int) -> npt.NDArray[np.uint8]:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return np.array(Image.open(buffer, formats=["JPEG"]))


def _shrink(x: Tensor, size: int) -> Tensor:
    """Box-filter the last axis to `size`: means of whole pixels, in Pillow's 22-bit fixed point."""
    members = _box_members(x.shape[-1], size).to(x.device)
    weights = (2.0**22 / members.sum(0) + 0.5).floor().double()
    return ((x.float() @ members) * weights).add_(2.0**21).mul_(2.0**-22).floor_()


@lru_cache
def _box_members(size: int, out: int) -> Tensor:
    """float32 (size, out): 1 where an output pixel's box, of width size / out, covers a pixel's centre."""
    scale = size / out
    centres = (torch.arange(out, dtype=torch.float64) + 0.5) * scale
    offset = (torch.arange(size, dtype=torch.float64)[:, None] + 0.5 - centres) / scale
    return ((offset > -0.5) & (offset <= 0.5)).float()


def _nearest(size: int, out: int, device: torch.device) -> Tensor:
    centres = (torch.arange(out, dtype=torch.float64, device=device) + 0.5) * (size / out)
    return centres.long().clamp_(max=size - 1)
