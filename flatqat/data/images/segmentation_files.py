"""Images that lie on disk with a label map each, decoded when they are asked for."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL.Image import Image
from torch import Tensor

from flatqat.data.images.encoded import Pixels, decoded, in_rgb
from flatqat.data.images.image_data import ImageData, Transform
from flatqat.data.images.label_maps import (
    check_fits,
    check_one_size,
    check_values,
    label_map,
    translated,
    values_of,
)
from flatqat.data.images.segmentation_views import joined, whole
from flatqat.errors import DataError


def segmentation_files(
    images: Sequence[str],
    masks: Sequence[str],
    ids: Tensor,
    *,
    classes: int,
    source: str,
    lut: NDArray[np.uint8] | None = None,
    view: Transform | None = None,
) -> ImageData:
    """N images, their label maps (8-bit, grey or palette) and ids, int64 (N,); `source` names them in errors.

    `fetch` gives uint8 (B, 4, H, W): RGB and the label map, whose values v become `lut[v]` (256 train ids).
    Without a `view` the set waits for one (`ImageData.seen`); through `whole` all images have one size.
    Raises DataError when decoding a damaged file, a map of another size than its image, one with values
    beyond the train ids and 255, and, seen whole, an image of another size than the first.
    """
    if not len(images) == len(masks) == len(ids):
        counts = f"{len(masks)} and {len(ids)} for {len(images)}"
        raise DataError(f"{source}: expected a label map and an id an image, got {counts}")
    if not len(images):
        raise DataError(f"{source}: expected images, got none")

    def through(chosen: Transform) -> ImageData:
        return segmentation_files(images, masks, ids, classes=classes, source=source, lut=lut, view=chosen)

    seen = view or whole

    @cache
    def first_size() -> tuple[int, int]:
        return decoded(Path(images[0]), lambda image: image.size)

    def pixels(at: int, image_id: int) -> Pixels:
        pair = read_pair(Path(images[at]), Path(masks[at]), classes=classes, lut=lut)
        if seen is whole:
            check_one_size(source, images[0], first_size(), images[at], pair.size)
        return seen(pair, image_id)

    def fetch(index: Tensor) -> Tensor:
        rows = zip(index.tolist(), ids[index].tolist(), strict=True)
        return torch.from_numpy(np.stack([pixels(*row) for row in rows])).permute(0, 3, 1, 2).contiguous()

    return ImageData(labels=None, ids=ids, fetch=fetch, through_transform=None if view else through)


def read_pair(image: Path, mask: Path, *, classes: int, lut: NDArray[np.uint8] | None) -> Image:
    """Decode an image and its label map to a pair. Raises DataError, naming the file."""

    def checked(opened: Image) -> Pixels:
        labels = translated(label_map(opened), lut)
        check_values(values_of(labels), classes=classes, name=mask.name)
        return labels

    colours, labels = decoded(image, in_rgb), decoded(mask, checked)
    check_fits(image, colours.size, mask, labels.shape[::-1])
    return joined(colours, Pillow.fromarray(labels))
