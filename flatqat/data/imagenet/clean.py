"""ImageNet's own images: the validation set, which is scored, and the training set if it is on disk.

    imagenet/val/<wnid>/*.JPEG, or imagenet/val/*.JPEG with a file of labels
    imagenet/train/<wnid>/*.JPEG

The last tenth of a fixed permutation of the training images, at most 10,000, is for selection.
"""

from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from flatqat.data.imagenet import classes, mapping
from flatqat.data.imagenet.files import Images, in_class_folders, in_order, stem
from flatqat.data.imagenet.known import in_known_order
from flatqat.data.imagenet.locate import find_split
from flatqat.data.images.data_root import contents, data_root
from flatqat.data.images.entries import folder_names, has_folder, image_names
from flatqat.errors import DataError, found

if TYPE_CHECKING:
    from flatqat.data.tensors.image_data import ImageData

MOST_HELD_OUT, SHARE_HELD_OUT = 10_000, 0.1
SPLIT_SEED = 0
SELECTION_ALONE = 1_000  # validation images, if there are no training images


def train(root: Path | None) -> "ImageData":
    """Load nine tenths of the training images, or all validation images if there are none."""
    return scored(root) if untrainable_reason(root) else _part(root, held_out=False)


def val(root: Path | None) -> "ImageData":
    """Load the held-out training images, or 1,000 validation images if there are none."""
    return scored(root).sample(SELECTION_ALONE) if untrainable_reason(root) else _part(root, held_out=True)


@lru_cache(maxsize=8)
def scored(root: Path | None, class_subset: tuple[int, ...] | None = None) -> "ImageData":
    """Load all validation images, or those of some classes."""
    return scored_images(root, class_subset).load()


@lru_cache(maxsize=8)
def scored_images(root: Path | None, class_subset: tuple[int, ...] | None = None) -> Images:
    """List the images of `scored`. Raises DataError if they are missing, or labeled in another order."""
    location = find_split(root, "val")
    if location is None:
        base = data_root(root, "ImageNet")
        raise DataError(
            f"{base}: expected the validation images of ImageNet as imagenet/val/<wnid>/*.JPEG, "
            f"got {contents(base)}; point --data-root at the folder that holds imagenet"
        )
    folder, place = location
    images = _listed(folder, place)
    if class_subset is None:
        return images
    chosen = images.take(np.flatnonzero(np.isin(images.labels, class_subset)))
    if not len(chosen):
        expected = f"images of the {len(class_subset)} classes of this set"
        raise DataError(f"{folder}: expected {expected}, got none; complete the copy")
    return chosen


@lru_cache(maxsize=2)
def scored_in_groups(root: Path | None, groups: tuple[tuple[int, ...], ...]) -> "ImageData":
    """Load the validation images of groups of classes; their labels are the places of the groups."""
    place = {label: place for place, group in enumerate(groups) for label in group}
    images = scored_images(root, tuple(sorted(place)))
    labels = np.array([place[label] for label in images.labels.tolist()], np.int64)
    return replace(images, labels=labels).load()


def train_images(root: Path | None) -> Images:
    """List all training images, held out or not; `untrainable_reason` must be empty. Imports no torch."""
    location = find_split(root, "train")
    assert location is not None
    return in_class_folders(location[0])


def untrainable_reason(root: Path | None) -> str:
    """Return why nothing can be trained; empty if there are training images."""
    try:
        if find_split(root, "train"):
            return ""
        val, base = find_split(root, "val"), data_root(root, "ImageNet")
        home = val[0].parent if val else base / "imagenet"
        got = contents(home) if has_folder(home) else "no such folder"
    except DataError as error:
        return str(error)
    return f"no training images: expected {home}/train/<wnid>/*.JPEG, got {got}"


def _part(root: Path | None, *, held_out: bool) -> "ImageData":
    import torch

    images = train_images(root)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(SPLIT_SEED))
    count = min(MOST_HELD_OUT, max(1, int(SHARE_HELD_OUT * len(images))))
    return images.load().subset(order[-count:] if held_out else order[:-count])


def corruptible(folder: Path) -> "tuple[ImageData, list[str]]":
    """Load a folder of validation images, and return the name `<wnid>/<image>.JPEG` of each copy."""
    if not has_folder(folder):
        raise DataError(
            f"{folder}: expected a folder of ImageNet's validation images, got {found(folder)}; check --from"
        )
    images, wnids = _listed(folder.resolve(), folder.resolve().parent), classes.wnids()
    if images.doubt:
        raise DataError(
            f"{folder}: expected images whose classes are certain, since copies are written to folders of "
            f"WordNet ids, got others: {images.doubt}; sort the images into class folders"
        )
    pairs = zip(images.labels, images.names, strict=True)
    return images.load(), [f"{wnids[label]}/{stem(name)}.JPEG" for label, name in pairs]


def _listed(folder: Path, place: Path) -> Images:
    """List class folders, or a flat folder with labels in it or above it, up to `place`."""
    return in_known_order(in_class_folders(folder) if folder_names(folder) else _flat(folder, place))


def _flat(folder: Path, place: Path) -> Images:
    names = image_names(folder)
    if not names:
        raise DataError(f"{folder}: expected class folders or images, got {contents(folder)}; complete it")
    above = [parent for parent in folder.parents if parent == place or place in parent.parents]
    labels, doubt = mapping.read(folder, names, (folder, *above))
    return replace(in_order(folder, names, labels), doubt=doubt)
