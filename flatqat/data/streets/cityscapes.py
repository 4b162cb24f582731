"""Cityscapes: its validation images are the ID test set, whole cities of its training images select.

`train` and `val` are of leftImg8bit/train alone: three cities of 288 images are held out as `val`. Where
there are no training images, nothing is trained and both are validation images.
"""

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from flatqat.data.streets.listed import Listed, listed
from flatqat.data.streets.names import CITYSCAPES, CLASSES
from flatqat.errors import DataError

if TYPE_CHECKING:
    from flatqat.data.images.image_data import ImageData

HELD_OUT = ("krefeld", "monchengladbach", "ulm")
SELECTION_ALONE = 100  # validation images, where there are no training images


@lru_cache(maxsize=2)
def train(root: Path | None) -> "ImageData":
    """Training images of all other cities; all validation images where there are none."""
    try:
        part = cities(root, held_out=False)
    except DataError:
        part = listed(root, CITYSCAPES, "val")
    return part.load(classes=len(CLASSES), waits=True)


@lru_cache(maxsize=2)
def val(root: Path | None) -> "ImageData":
    """Training images of the cities held out; 100 validation images where there are none."""
    try:
        part = cities(root, held_out=True)
    except DataError:
        return scored(root).sample(SELECTION_ALONE)
    return part.load(classes=len(CLASSES))


@lru_cache(maxsize=2)
def scored(root: Path | None) -> "ImageData":
    """All validation images."""
    return listed(root, CITYSCAPES, "val").load(classes=len(CLASSES))


def cities(root: Path | None, *, held_out: bool) -> Listed:
    """Training images of the cities held out, or of the others. Raises DataError where one has none."""
    part = listed(root, CITYSCAPES, "train")
    chosen = [at for at, name in enumerate(part.names) if (name.split("_")[0] in HELD_OUT) == held_out]
    if not chosen or len(chosen) == len(part):
        raise DataError(
            f"Cityscapes train: expected images of {', '.join(HELD_OUT)}, held out for selection, and of "
            f"others to train on, got {', '.join(sorted({name.split('_')[0] for name in part.names}))}; "
            "complete the copy"
        )
    return part.take(chosen)


def untrainable_reason(root: Path | None) -> str:
    """Why nothing can be trained: empty where there are training images with label maps."""
    try:
        cities(root, held_out=False)
    except DataError as error:
        return str(error)
    return ""
