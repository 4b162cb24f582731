"""JPEG: loss of bits, on the CPU."""

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from flatqat.data.corruptions._draw import Draw
from flatqat.data.corruptions.constants import Constants
from flatqat.data.images.jpeg import fast_decoder

Plane = npt.NDArray[np.uint8]


def jpeg_compression(images: Tensor, draw: Draw, constants: Constants) -> Tensor:
    """Encode and decode with libjpeg, chroma at half resolution. Constants: (quality,).

    Pillow encodes: simplejpeg has another cosine transform, whose pixels are not the same.
    """
    quality = int(constants[0])
    result = np.empty(images.shape, dtype=np.uint8)
    for image, decoded in zip(images.cpu().numpy(), result, strict=True):
        _decode(_encoded(image, quality), decoded)
    return torch.from_numpy(result).to(images.device)


def _encoded(planes: Plane, quality: int) -> bytes:
    """Encode (3, H, W) as bands and without a file, which is faster than as an array of pixels."""
    size = (planes.shape[2], planes.shape[1])
    bands = [Image.frombuffer("L", size, plane, "raw", "L", 0, 1) for plane in planes]
    return Image.merge("RGB", bands).tobytes("jpeg", "RGB", quality)


def _decode(content: bytes, planes: Plane) -> None:
    """Decode into (3, H, W); by Pillow as bands and without opening a file, which is faster."""
    decode = fast_decoder()
    pixels = decode(content) if decode else None
    if pixels is not None:
        planes[:] = pixels.transpose(2, 0, 1)
        return
    image = Image.frombytes("RGB", (planes.shape[2], planes.shape[1]), content, "jpeg", "RGB", "")
    for band, plane in zip("RGB", planes, strict=True):
        plane[:] = np.frombuffer(image.tobytes("raw", band), dtype=np.uint8).reshape(plane.shape)
