"""Label maps on disk, and what wrong values in them reveal. Imports no torch.

A map holds train ids, 0 to classes - 1, and 255 for pixels that are not scored.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image

from flatqat.data.images.encoded import Pixels
from flatqat.errors import DataError, listed
from flatqat.spec import IGNORED

CITYSCAPES_CLASSES, CITYSCAPES_IDS = 19, 33  # train ids are 0 to 18, labelIds 0 to 33
ENOUGH = 4  # label maps in which a class that every street has cannot be missing by chance

Size = tuple[int, ...]
"""Width and height"""


def label_map(image: Image) -> Pixels:
    """Return the values of a label map, uint8 (H, W). Raises DataError as `check_mode`."""
    check_mode(image)
    return np.asarray(image)


def check_mode(image: Image) -> None:
    """Raise DataError unless an image is gray or has a palette."""
    if image.mode not in ("L", "P"):
        colors = image.mode in ("RGB", "RGBA")
        got = "colors: a map for display" if colors else f"mode {image.mode}, as maps of instances have"
        raise DataError(f"expected a label map of one 8-bit channel, got {got}; use the one with train ids")


def train_ids(image: Image, lut: NDArray[np.uint8] | None, *, classes: int, name: str) -> Pixels:
    """Return the train ids of a label map, uint8 (H, W): its values v, or lut[v].

    Raises DataError as `label_map` and `check_values` do.
    """
    labels = label_map(image) if lut is None else lut[label_map(image)]
    check_values(values_of(labels), classes=classes, name=name)
    return labels


def values_of(labels: Pixels) -> list[int]:
    """Return the distinct values of a label map, sorted."""
    return np.flatnonzero(np.bincount(labels.ravel(), minlength=IGNORED + 1)).tolist()


def check_values(values: Iterable[int], *, classes: int, name: str) -> None:
    """Raise DataError, with the cause, if sorted values of the file `name` are neither train ids nor 255."""
    values = list(values)
    if wrong := [value for value in values if value >= classes and value != IGNORED]:
        expected = f"expected train ids 0 to {classes - 1}, and {IGNORED} for pixels that are not scored"
        raise DataError(f"{expected}, got {listed(wrong)}{_cause(values, wrong, classes, name)}")


def check_together(values: Iterable[int], *, maps: int, classes: int) -> None:
    """Raise DataError if label maps are in range but never contain any label, class 0, or 255.

    Class 0 fills much of every street scene: it is the road in Cityscapes. Part of every scene is not scored:
    the camera's own car, and what belongs to no class.
    """
    values, original = set(values), f"use the original train ids, 0 to {classes - 1}"
    labels = sorted(values - {IGNORED})
    if maps < ENOUGH or not values:
        return
    if not labels:
        raise nothing_scored(maps)
    if labels[0] > 0:
        raise DataError(
            f"expected class 0 in some of {maps} label maps, got none (values {labels[0]} to {labels[-1]}): "
            f"labels that start at 1, off by one; {original}"
        )
    if IGNORED not in values:
        raise DataError(
            f"expected {IGNORED} in some of {maps} label maps, for pixels that are not scored, got none: "
            f"labels that start at 1, off by one, with 0 in its place; {original}"
        )


def nothing_scored(maps: int) -> DataError:
    """Return the error for label maps without a label."""
    return DataError(
        f"expected labels in some of {maps} label maps, got {IGNORED} alone: no pixel would be scored; "
        "use a split whose labels are public"
    )


def check_fits(image: Path | str, size: Size, mask: Path | str, of_mask: Size) -> None:
    """Raise DataError if a label map differs in size (width, height) from its image."""
    if size != of_mask:
        expected, got = f"a label map of its size, {size_text(size)}", f"{size_text(of_mask)} in {mask}"
        raise DataError(f"{image}: expected {expected}, got {got}; keep both as they were published")


def check_one_size(title: str, first: Path | str, size: Size, other: Path | str, of_other: Size) -> None:
    """Raise DataError if two images of a dataset differ in size."""
    if size != of_other:
        got = f"{size_text(size)} in {first} and {size_text(of_other)} in {other}"
        fix = "keep the images as they were published"
        raise DataError(f"{title}: expected images of one size, got {got}; {fix}")


def size_text(size: Size) -> str:
    """Return width and height as `2048x1024`."""
    return "x".join(map(str, size))


def _cause(values: list[int], wrong: list[int], classes: int, name: str) -> str:
    """Return the cause and the fix of `wrong` values among all `values`, both sorted."""
    label_ids = classes == CITYSCAPES_CLASSES and classes < wrong[-1] <= CITYSCAPES_IDS
    if name.endswith("labelIds.png") or label_ids:
        return (
            f": these are labelIds, 0 to {CITYSCAPES_IDS}, where labelTrainIds are needed; make them with "
            "csCreateTrainIdLabelImgs of cityscapesscripts"
        )
    if wrong == [classes] and values[0] > 0:
        return f": labels that start at 1, off by one; use the original train ids, 0 to {classes - 1}"
    if wrong == [classes] and IGNORED not in values:
        return (
            f": no pixel is {IGNORED}, so either labels start at 1, off by one, and 0 marks pixels that are "
            f"not scored, or {classes} marks them; use the original train ids, 0 to {classes - 1}"
        )
    if wrong == [IGNORED - 1]:
        return (
            f": one was subtracted from all labels, so that {IGNORED} became {IGNORED - 1} and 0 became "
            f"{IGNORED}; use the original train ids"
        )
    return "; these labels belong to another dataset"
