"""Cityscapes: its validation images are the ID test set; whole cities of its training images select.

`train` and `val` come from leftImg8bit/train alone: three cities with 288 images are held out as `val`.
Without training images nothing is trained, and both are validation images.
"""

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from flatqat.data.streets.listing import Listing, list_part
from flatqat.data.streets.names import CITYSCAPES, CLASSES
from flatqat.errors import DataError

if TYPE_CHECKING:
    from flatqat.data.tensors.image_data import ImageData

HELD_OUT = ("krefeld", "monchengladbach", "ulm")
SELECTION_ALONE = 100  # validation images, if there are no training images


@lru_cache(maxsize=2)
def train(root: Path | None) -> "ImageData":
    """Load the training images of all other cities, or all validation images if there are none."""
    try:
        part = cities(root, held_out=False)
    except DataError:
        part = list_part(root, CITYSCAPES, "val")
    return part.load(classes=len(CLASSES), waits=True)


@lru_cache(maxsize=2)
def val(root: Path | None) -> "ImageData":
    """Load the training images of the held-out cities, or 100 validation images if there are none."""
    try:
        part = cities(root, held_out=True)
    except DataError:
        return scored(root).sample(SELECTION_ALONE)
    return part.load(classes=len(CLASSES))


@lru_cache(maxsize=2)
def scored(root: Path | None) -> "ImageData":
    """Load all validation images."""
    return list_part(root, CITYSCAPES, "val").load(classes=len(CLASSES))


def cities(root: Path | None, *, held_out: bool) -> Listing:
    """List training images of the held-out cities, or of the others. Raises DataError if there are none."""
    part = list_part(root, CITYSCAPES, "train")
    found = [name.split("_")[0] for name in part.names]
    chosen = [index for index, city in enumerate(found) if (city in HELD_OUT) == held_out]
    if not chosen or len(chosen) == len(part):
        raise DataError(
            f"Cityscapes train: expected images of {', '.join(HELD_OUT)}, held out for selection, and of "
            f"others to train on, got {', '.join(sorted(set(found)))}; complete the copy"
        )
    return part.take(chosen)


def untrainable_reason(root: Path | None) -> str:
    """Return why nothing can be trained; empty if there are training images with label maps."""
    try:
        cities(root, held_out=False)
    except DataError as error:
        return str(error)
    return ""
