"""Loss of resolution and of bits: pixelate and JPEG, both by Pillow."""

import io
from collections.abc import Callable

import torch
from PIL import Image
from torch import Tensor

from flatqat.data.corruptions._draw import Draw
from flatqat.data.corruptions.constants import Constants


def pixelate(images: Tensor, draw: Draw, constants: Constants) -> Tensor:
    """Box-filtered down to the fraction c of each side, then up again. Constants: (c,).

    Up again the box is narrower than a pixel and takes the nearest, which Pillow also does at a tenth of the
    time; but where a box's middle falls on an edge, the two round in different ways.
    """
    (fraction,) = constants
    large = images.shape[3], images.shape[2]
    small = int(large[0] * fraction), int(large[1] * fraction)
    on_edges = any(n % (2 * (m & -m)) == 0 for n, m in zip(small, large, strict=True))
    nearest = Image.Resampling.BOX if on_edges else Image.Resampling.NEAREST

    def change(image: Image.Image) -> Image.Image:
        return image.resize(small, Image.Resampling.BOX).resize(large, nearest)

    return _each(images, change)


def jpeg_compression(images: Tensor, draw: Draw, constants: Constants) -> Tensor:
    """Encoded and decoded again by libjpeg, chroma at half resolution. Constants: (quality,)."""
    quality = int(constants[0])

    def change(image: Image.Image) -> Image.Image:
        image.save(buffer := io.BytesIO(), "JPEG", quality=quality)
        return Image.frombytes("RGB", image.size, buffer.getvalue(), "jpeg", "RGB", "")

    return _each(images, change)


def _each(images: Tensor, change: Callable[[Image.Image], Image.Image]) -> Tensor:
    """Every image changed as Pillow's, of four bytes a pixel, the last one unused."""
    size = images.shape[3], images.shape[2]
    red, green, blue = images.cpu().int().unbind(1)
    packed = red.bitwise_or_(green << 8).bitwise_or_(blue << 16).numpy()
    pictures = (Image.frombuffer("RGBX", size, pixels, "raw", "RGBX", 0, 1) for pixels in packed)
    changed = bytearray().join(change(picture).tobytes("raw", "RGBX") for picture in pictures)
    pixels = torch.frombuffer(changed, dtype=torch.int32).view(packed.shape)
    planes = torch.empty(images.shape, dtype=torch.uint8)
    for channel, plane in enumerate(planes.unbind(1)):
        plane.copy_(pixels >> 8 * channel)
    return planes.to(images.device)
