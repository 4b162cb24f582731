"""ACDC's labeled validation images: by condition, pooled, and the same places in clear weather."""

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from flatqat.data.images.entries import has_folder
from flatqat.data.streets.listing import Listing, folders_of, join_listings, list_part
from flatqat.data.streets.names import ACDC, CLASSES, CONDITIONS, FLAT
from flatqat.errors import DataError

if TYPE_CHECKING:
    from flatqat.data.tensors.image_data import ImageData


@lru_cache(maxsize=8)
def load(root: Path | None, part: str) -> "ImageData":
    """Load a condition, `adverse` (all four of them) or `reference` (clear weather)."""
    joined = {"adverse": adverse, "reference": reference}
    listing = joined[part](root) if part in joined else condition(root, part)
    return listing.load(classes=len(CLASSES))


def condition(root: Path | None, name: str) -> Listing:
    """List the validation images of one condition. Raises DataError if there are none.

    In a flattened copy (`rgb_anon/val`, `gt/val`) one of the two trees must still have folders for
    conditions, because file names do not tell them apart.
    """
    try:
        return list_part(root, ACDC, name)
    except DataError:
        if not _is_flat(root):
            raise
    images, masks, _ = folders_of(root, ACDC, FLAT)
    raise DataError(
        f"{images}: expected images or label maps in folders of their condition, {name} among them, got a "
        "flattened copy, in which nothing distinguishes fog from snow; unpack gt_trainval.zip beside it, so "
        f"that there is {masks.parent}/{name}/val, or use --suite cityscapes-acdc-pooled"
    )


def adverse(root: Path | None) -> Listing:
    """List the validation images of all conditions, from either layout."""
    if _is_flat(root):
        return list_part(root, ACDC, FLAT)
    return join_listings("ACDC", *(condition(root, name) for name in CONDITIONS))


def reference(root: Path | None) -> Listing:
    """List the labeled images of the same places in clear weather. Raises DataError if there are none."""
    return join_listings("ACDC reference", *(list_part(root, ACDC, f"{name}_ref") for name in CONDITIONS))


def lacks_reference(root: Path | None) -> bool:
    """Return whether there are no labeled images in clear weather."""
    try:
        reference(root)
    except DataError:
        return True
    return False


def _is_flat(root: Path | None) -> bool:
    try:
        images, masks, _ = folders_of(root, ACDC, FLAT)
        return has_folder(images) and has_folder(masks)
    except DataError:
        return False
