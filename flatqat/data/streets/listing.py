"""Images and their label maps, paired by name. Opens no file and imports no torch."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from flatqat.data.images.data_root import contents, data_root, plain, visible_folders
from flatqat.data.images.entries import files_below, has_folder, name_hash
from flatqat.data.streets.names import CLASSES, Place, StreetSet
from flatqat.errors import DataError, listed

if TYPE_CHECKING:
    from flatqat.data.tensors.image_data import ImageData


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """N images and their label maps, in the order of their names.

    Attributes:
        title: What errors call the part.
        names: File names without their ending, such as `aachen_000000_000019`.
        images: The paths of the images.
        masks: The paths of the label maps.
        unlabeled: The names of images without a label map.
    """

    title: str
    names: tuple[str, ...]
    images: tuple[str, ...]
    masks: tuple[str, ...]
    unlabeled: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.names)

    def take(self, chosen: list[int]) -> "Listing":
        """Return the pairs at the indices `chosen`, in that order."""
        columns = self.names, self.images, self.masks
        names, images, masks = (tuple(column[index] for index in chosen) for column in columns)
        return Listing(title=self.title, names=names, images=images, masks=masks)

    def load(self, *, classes: int, lut: NDArray[np.uint8] | None = None, waits: bool = False) -> "ImageData":
        """Return a dataset that decodes the files on demand; `lut` translates stored labels to train ids.

        If it `waits`, it takes the transform of training; otherwise images are not cropped.
        """
        import torch

        from flatqat.data.images.segmentation_views import uncropped
        from flatqat.data.tensors.segmentation_files import segmentation_files

        ids, view = torch.tensor([image_id(name) for name in self.names]), None if waits else uncropped
        return segmentation_files(
            self.images, self.masks, ids, classes=classes, source=self.title, lut=lut, view=view
        )


def image_id(name: str) -> int:
    """Return the hash of the name: the same in any part of the dataset and under any root."""
    return name_hash(name)


def join_listings(title: str, *parts: Listing) -> Listing:
    """Return several parts as one, one after the other."""
    return Listing(
        title=title,
        names=tuple(name for part in parts for name in part.names),
        images=tuple(path for part in parts for path in part.images),
        masks=tuple(path for part in parts for path in part.masks),
        unlabeled=tuple(name for part in parts for name in part.unlabeled),
    )


def list_part(root: Path | None, dataset: StreetSet, part: str) -> Listing:
    """List a part of a dataset. Raises DataError if it is missing or has no label maps of train ids."""
    images, masks, place = folders_of(root, dataset, part)
    listing = pair_up(f"{dataset.title} {part}", images, masks, place, dataset.fix)
    return replace(listing, unlabeled=()) if place.shared else listing


@lru_cache(maxsize=8)
def load(root: Path | None, dataset: StreetSet, part: str) -> "ImageData":
    """Load a part of a dataset of the 19 classes, uncropped."""
    return list_part(root, dataset, part).load(classes=len(CLASSES))


def folders_of(root: Path | None, dataset: StreetSet, part: str) -> tuple[Path, Path, Place]:
    """Return the folders of images and of label maps, and their place; the latter folder may not exist.

    The two may have been unpacked side by side: `leftImg8bit_trainvaltest/leftImg8bit` and
    `gtFine_trainvaltest/gtFine`.

    Raises DataError if there is no folder of images.
    """
    base = data_root(root, dataset.title)
    homes = list(_homes(base, dataset))
    nearest = None
    for place in dataset.places[part]:
        images = next((home / place.images for home in homes if has_folder(home / place.images)), None)
        masks = next((home / place.masks for home in homes if has_folder(home / place.masks)), None)
        if images and masks:
            return images, masks, place
        if images and nearest is None:
            nearest = images, images.parents[place.images.count("/")] / place.masks, place
    if nearest:
        return nearest
    place, home = dataset.places[part][0], homes[0]
    got = contents(home) if home == base else f"{contents(home)} in {home.name}"
    expected = f"{dataset.title} with {dataset.folders[0]}/{place.images}"
    fix = "unpack it there, or point --data-root at the folder that holds it"
    raise DataError(f"{base}: expected {expected}, got {got}; {fix}")


def pair_up(title: str, images: Path, masks: Path, place: Place, fix: str) -> Listing:
    """Pair images and label maps of two folders, at any depth, that have the same name."""
    of_images = files_by_name(images, place.image_end)
    if not of_images:
        got = listed(_names_in(images), 3, empty="no file")
        raise DataError(f"{images}: expected images *{place.image_end}, got {got}; unpack them")
    of_masks = files_by_name(masks, place.mask_end) if has_folder(masks) else {}
    both = sorted(of_images.keys() & of_masks.keys())
    if not both:
        raise DataError(f"{masks}: expected label maps *{place.mask_end}, {_instead(masks, fix)}")
    return Listing(
        title=title,
        names=tuple(both),
        images=tuple(of_images[name] for name in both),
        masks=tuple(of_masks[name] for name in both),
        unlabeled=tuple(sorted(of_images.keys() - of_masks.keys())),
    )


def files_by_name(folder: Path, ending: str) -> dict[str, str]:
    """Map names to the paths of files with an ending, at any depth. Raises DataError if one appears twice."""
    paths: dict[str, str] = {}
    for place, file in files_below(folder):
        if file.endswith(ending):
            path, name = os.path.join(place, file), file.removesuffix(ending)
            if name in paths:
                got = f"{paths[name]} and {path}"
                raise DataError(f"{folder}: expected each file once, got {got}; remove one")
            paths[name] = path
    return paths


def _homes(base: Path, dataset: StreetSet) -> Iterator[Path]:
    """Yield folders with the dataset's name, the folders in them, then the data root itself."""
    for home in visible_folders(base):
        if plain(home.name) in dataset.folders:
            yield home
            yield from visible_folders(home)
    yield base
    yield from (base / folder for folder in ("seg", "val") if has_folder(base / folder))


def _names_in(folder: Path) -> list[str]:
    """Return the names of the files in a folder, at any depth, sorted."""
    return sorted(file for _, file in files_below(folder))


def _instead(masks: Path, fix: str) -> str:
    """Return what there is instead of label maps of train ids, and how to get those."""
    if not has_folder(masks):
        return f"got no such folder; {fix}"
    names = _names_in(masks)
    for ending, cause in (
        ("labelIds.png", "labelIds, 0 to 33, of which many are not scored"),
        ("color.png", "colors, made for display"),
        ("labelColor.png", "colors, made for display"),
        ("instanceIds.png", "instances"),
    ):
        if has := next((name for name in names if name.endswith(ending)), ""):
            return f"got {has} and the like: {cause}; {fix}"
    return f"got {listed(names, 3, empty='no file')}; {fix}"
