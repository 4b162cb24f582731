"""Corrupt a batch of images, each by random numbers of its own id."""

from collections.abc import Callable
from functools import cache

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
    snow,
    spatter,
)
from flatqat.data.corruptions._draw import Draw
from flatqat.data.corruptions._levels import to_uint8
from flatqat.data.corruptions.constants import CONSTANTS, Constants
from flatqat.data.corruptions.names import NAMES, SEVERITIES, Table
from flatqat.errors import UsageError, unknown

Operator = Callable[[Tensor, Draw, Constants], Tensor]

# uint8 images (B, 3, H, W) -> grey levels of any range, still to be clipped and rounded down.
_OPERATORS: dict[str, Operator] = {
    "gaussian_noise": noise.gaussian_noise,
    "shot_noise": noise.shot_noise,
    "impulse_noise": noise.impulse_noise,
    "defocus_blur": blur.defocus_blur,
    "glass_blur": glass.glass_blur,
    "motion_blur": motion.motion_blur,
    "zoom_blur": blur.zoom_blur,
    "snow": snow.snow,
    "frost": frost.frost,
    "fog": fog.fog,
    "brightness": color.brightness,
    "contrast": color.contrast,
    "elastic_transform": elastic.elastic_transform,
    "pixelate": jpeg.pixelate,
    "jpeg_compression": jpeg.jpeg_compression,
    "speckle_noise": noise.speckle_noise,
    "gaussian_blur": blur.gaussian_blur,
    "spatter": spatter.spatter,
    "saturate": color.saturate,
}

# Values at once: as many as stay in a CPU's last cache, and as many as fill a GPU.
_CHUNK = {"cpu": 5 * 3 * 224**2}
_CHUNK_ELSEWHERE = 2**25


def corrupt(images: Tensor, ids: Tensor, *, name: str, severity: int, table: Table) -> Tensor:
    """Corrupted copies, uint8 (B, 3, H, W), of uint8 images of that shape, on their device.

    `ids` is int64 (B,): an image's result depends on its pixels, its id and the corruption alone, not on
    the rest of the batch. `table` picks the severities: `cifar` was made for 32 pixels, `imagenet` for 224.
    Raises UsageError on an unknown name or a severity outside 1 .. 5.
    """
    if name not in NAMES:
        raise unknown("corruption", name, NAMES)
    if table not in CONSTANTS:
        raise unknown("table of corruptions", table, CONSTANTS)
    if severity not in SEVERITIES:
        raise UsageError(f"severity of {name}: expected a whole number from 1 to 5, got {severity!r}")
    if len(images) == 0:
        return images.clone()
    _settle_memory()
    constants = CONSTANTS[table][name][severity - 1]
    operator = _OPERATORS[name]
    size = max(1, _CHUNK.get(images.device.type, _CHUNK_ELSEWHERE) // images[0].numel())
    chunks = zip(images.contiguous().split(size), ids.to(images.device).split(size), strict=True)
    return torch.cat([to_uint8(operator(x, Draw.of(i, name, severity), constants)) for x, i in chunks])


@cache
def _settle_memory() -> None:
    """Take one large block and free it. From then on glibc keeps freed memory (mallopt(3), M_MMAP_THRESHOLD).

    Until then it gives larger blocks back to the system, and getting them anew for every operation takes
    longer than most operations do.
    """
    torch.empty(2**25 - 2**16, dtype=torch.uint8)
