"""Image files of many sizes, decoded on demand."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from PIL.Image import Image
from torch import Tensor

from flatqat.data.images.encoded import Decode, Pixels, check_side, decode_file, rgb_pixels, to_rgb
from flatqat.data.images.views import eval_crop
from flatqat.data.tensors.image_data import ImageData, Transform, channels_first, check_labels
from flatqat.errors import DataError
from flatqat.spec import EvalTransform


def image_files(
    paths: Sequence[Path | str],
    labels: Tensor,
    ids: Tensor,
    *,
    classes: int,
    source: str,
    view: Transform | None = None,
    side: int | None = None,
    groups: Tensor | None = None,
    decode: Decode = to_rgb,
) -> ImageData:
    """Return a dataset of image files.

    Args:
        paths: N files.
        labels: int64 (N,), from 0 to classes - 1.
        ids: int64 (N,).
        classes: The number of classes.
        source: What errors call the dataset.
        view: The transform of each image. Without one, the dataset takes that of each model
            (`ImageData.transformed`).
        side: Width and height that all images must have, in pixels. They are then used as stored.
        groups: int64 (N,); see `ImageData`.
        decode: Returns an image that is only opened as RGB. Images of one `side` are decoded by `rgb_pixels`.

    Raises DataError if the numbers of files, labels, ids and groups differ or labels are out of range, and on
    decoding a damaged file.
    """
    if not len(paths) == len(labels) == len(ids):
        counts = f"{len(labels)} and {len(ids)} for {len(paths)}"
        raise DataError(f"{source}: expected a label and an id for each image, got {counts}")
    if groups is not None and len(groups) != len(paths):
        raise DataError(f"{source}: expected a group for each image, got {len(groups)} for {len(paths)}")
    check_labels(labels, classes=classes, source=source)

    def through(chosen: Transform) -> ImageData:
        return image_files(
            paths, labels, ids, classes=classes, source=source, view=chosen, groups=groups, decode=decode
        )

    transform = view or eval_crop(EvalTransform())

    def pixels(path: Path, image_id: int) -> Pixels:
        return decode_file(path, partial(_stored, side)) if side else read(path, transform, image_id, decode)

    def fetch(index: Tensor) -> Tensor:
        rows = zip(index.tolist(), ids[index].tolist(), strict=True)
        return channels_first(pixels(Path(paths[position]), image_id) for position, image_id in rows)

    fixed = view or side
    return ImageData(
        labels=labels,
        ids=ids,
        fetch=fetch,
        through_transform=None if fixed else through,
        groups=groups,
        source=source,
    )


def read(path: Path, view: Transform, image_id: int = 0, decode: Decode = to_rgb) -> Pixels:
    """Decode a file as RGB and apply a transform. Raises DataError, which names the file."""
    return decode_file(path, lambda image: view(decode(image), image_id))


def _stored(side: int, image: Image) -> Pixels:
    check_side(*image.size, side)
    return rgb_pixels(image)
