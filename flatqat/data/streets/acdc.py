"""ACDC's labelled validation images: by condition, all together, and the same places in clear weather."""

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from flatqat.data.streets.listed import Listed, folders_of, joined, listed
from flatqat.data.streets.names import ACDC, CLASSES, CONDITIONS, FLAT
from flatqat.errors import DataError

if TYPE_CHECKING:
    from flatqat.data.images.image_data import ImageData


@lru_cache(maxsize=8)
def load(root: Path | None, part: str) -> "ImageData":
    """A condition, `adverse`: all four, or `reference`: clear weather."""
    if part == "adverse":
        found = adverse(root)
    elif part == "reference":
        found = reference(root)
    else:
        found = condition(root, part)
    return found.load(classes=len(CLASSES))


def condition(root: Path | None, name: str) -> Listed:
    """Validation images of one condition.

    In a flattened copy (`rgb_anon/val`, `gt/val`) one of the two trees must still have its conditions: file
    names do not tell them. Raises DataError where neither has.
    """
    try:
        return listed(root, ACDC, name)
    except DataError:
        if not _is_flat(root):
            raise
    images, masks, _ = folders_of(root, ACDC, FLAT)
    raise DataError(
        f"{images}: expected images or label maps in folders of their condition, {name} among them, got a "
        "flattened copy, in which nothing tells fog from snow; unpack gt_trainval.zip beside it, so that "
        f"there is {masks.parent}/{name}/val, or use --suite cityscapes-acdc-pooled"
    )


def adverse(root: Path | None) -> Listed:
    """Validation images of all conditions, from either layout."""
    if _is_flat(root):
        return listed(root, ACDC, FLAT)
    return joined("ACDC", *(condition(root, name) for name in CONDITIONS))


def reference(root: Path | None) -> Listed:
    """The same places in clear weather, as far as they are labelled. Raises DataError without any."""
    return joined("ACDC reference", *(listed(root, ACDC, f"{name}_ref") for name in CONDITIONS))


def lacks_reference(root: Path | None) -> bool:
    try:
        reference(root)
    except DataError:
        return True
    return False


def _is_flat(root: Path | None) -> bool:
    try:
        images, masks, _ = folders_of(root, ACDC, FLAT)
    except DataError:
        return False
    return images.is_dir() and masks.is_dir()
