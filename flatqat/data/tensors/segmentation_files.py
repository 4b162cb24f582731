"""Image files with a label map each, decoded on demand."""

from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL.Image import Image
from torch import Tensor

from flatqat.data.images.encoded import Pixels, decode_file, to_rgb
from flatqat.data.images.label_maps import check_fits, check_one_size, train_ids
from flatqat.data.images.segmentation_views import join, uncropped
from flatqat.data.tensors.image_data import ImageData, Transform, channels_first
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
    """Return a dataset of image files with label maps, 8-bit gray or palette images.

    `fetch` returns uint8 (B, 4, H, W): RGB and the label map.

    Args:
        images: N image files.
        masks: Their N label maps.
        ids: int64 (N,).
        classes: The number of classes.
        source: What errors call the dataset.
        lut: Translates the values of label maps to train ids, uint8 (256,).
        view: The transform of each image. Without one, the dataset takes that of training
            (`ImageData.transformed`). With `uncropped` all images must have one size.

    Raises DataError if the numbers of files differ and, on decoding, if a file is damaged, a map differs in
    size from its image, a value is neither a train id nor 255, or `uncropped` images differ in size.
    """
    if not len(images) == len(masks) == len(ids):
        counts = f"{len(masks)} and {len(ids)} for {len(images)}"
        raise DataError(f"{source}: expected a label map and an id for each image, got {counts}")
    if not len(images):
        raise DataError(f"{source}: expected images, got none")

    def through(chosen: Transform) -> ImageData:
        return segmentation_files(images, masks, ids, classes=classes, source=source, lut=lut, view=chosen)

    transform = view or uncropped

    @cache
    def first_size() -> tuple[int, int]:
        return decode_file(Path(images[0]), lambda image: image.size)

    def pixels(position: int, image_id: int) -> Pixels:
        pair = read_pair(Path(images[position]), Path(masks[position]), classes=classes, lut=lut)
        if transform is uncropped:
            check_one_size(source, images[0], first_size(), images[position], pair.size)
        return transform(pair, image_id)

    def fetch(index: Tensor) -> Tensor:
        rows = zip(index.tolist(), ids[index].tolist(), strict=True)
        return channels_first(pixels(*row) for row in rows)

    return ImageData(
        labels=None, ids=ids, fetch=fetch, through_transform=None if view else through, source=source
    )


def read_pair(image: Path, mask: Path, *, classes: int, lut: NDArray[np.uint8] | None) -> Image:
    """Decode an image and its label map into one RGBA image. Raises DataError, which names the file."""
    read_labels = partial(train_ids, lut=lut, classes=classes, name=mask.name)
    colors, labels = decode_file(image, to_rgb), decode_file(mask, read_labels)
    check_fits(image, colors.size, mask, labels.shape[::-1])
    return join(colors, Pillow.fromarray(labels))
