"""Corrupt a batch of images, each with random numbers seeded by its id."""

from collections.abc import Callable

import torch
from torch import Tensor

from flatqat.data.corruptions import (
    blur,
    color,
    elastic,
    fog,
    frost,
    glass,
    jpeg,
    motion,
    noise,
    pixelate,
    snow,
    spatter,
)
from flatqat.data.corruptions._draw import Draw
from flatqat.data.corruptions._levels import store
from flatqat.data.corruptions.constants import CONSTANTS, Constants
from flatqat.data.corruptions.names import SEVERITIES, Table
from flatqat.errors import UsageError, choose

Operator = Callable[[Tensor, Draw, Constants], Tensor]

# uint8 images (B, 3, H, W) -> gray levels of any range, not yet clipped and rounded down.
_FUNCTIONS: tuple[Operator, ...] = (
    noise.gaussian_noise, noise.shot_noise, noise.impulse_noise, noise.speckle_noise,
    blur.defocus_blur, glass.glass_blur, motion.motion_blur, blur.zoom_blur, blur.gaussian_blur,
    snow.snow, frost.frost, fog.fog, spatter.spatter, elastic.elastic_transform,
    color.brightness, color.contrast, color.saturate, pixelate.pixelate, jpeg.jpeg_compression,
)  # fmt: skip
_OPERATORS = {function.__name__: function for function in _FUNCTIONS}

# Values processed at once: as many as fit in a CPU's last cache, and as many as fill a GPU.
_CHUNK = {"cpu": 5 * 3 * 224**2}
_CHUNK_ELSEWHERE = 2**25


def corrupt(images: Tensor, ids: Tensor, *, name: str, severity: int, table: Table) -> Tensor:
    """Return corrupted copies of images.

    An image's result depends on its pixels, its id and the corruption, not on the rest of the batch.

    Args:
        images: uint8 (B, 3, H, W).
        ids: int64 (B,).
        name: The corruption, one of `NAMES`.
        severity: 1 to 5.
        table: The constants of severities: `cifar` is made for 32 pixels, `imagenet` for 224, and `digits`
            for handwritten digits of 32 pixels.

    Returns:
        uint8 (B, 3, H, W), on the device of `images`.

    Raises UsageError if the name or the table is unknown, the table lacks the name, or the severity is out of
    range.
    """
    choose("table of corruptions", table, CONSTANTS)
    choose("corruption", name, CONSTANTS[table])
    if severity not in SEVERITIES:
        raise UsageError(f"severity of {name}: expected a whole number from 1 to 5, got {severity!r}")
    constants = CONSTANTS[table][name][severity - 1]
    return distort(images, ids, name=name, severity=severity, constants=constants)


def distort(images: Tensor, ids: Tensor, *, name: str, severity: int, constants: Constants) -> Tensor:
    """Return what `corrupt` does, with constants of your own in the order of the operator's docstring.

    The severity only decides which random numbers are drawn.
    """
    if len(images) == 0:
        return images.clone()
    operator = _OPERATORS[name]
    size = max(1, _CHUNK.get(images.device.type, _CHUNK_ELSEWHERE) // images[0].numel())
    corrupted = torch.empty_like(images, memory_format=torch.contiguous_format)
    keys = Draw.of(ids.to(images.device), name, severity).keys
    for x, part, out in zip(
        *(all_.split(size) for all_ in (images.contiguous(), keys, corrupted)), strict=True
    ):
        store(operator(x, Draw(part), constants), out)
    return corrupted
