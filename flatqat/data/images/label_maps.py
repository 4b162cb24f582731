"""Label maps as they lie on disk, and what their values say of the wrong ones. No torch.

A map holds train ids, 0 to classes - 1, and 255 where nothing is scored.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image

from flatqat.data.images.encoded import Pixels
from flatqat.data.streets.names import CLASSES
from flatqat.errors import DataError
from flatqat.spec import IGNORED

CITYSCAPES_IDS = 33  # the last labelId
ENOUGH = 4  # maps, so that a class that all streets have is missing for a reason

Size = tuple[int, ...]
"""Width and height"""


def label_map(image: Image) -> Pixels:
    """The values of a grey or palette image, uint8 (H, W). Raises DataError on colours, other depths."""
    if image.mode not in ("L", "P"):
        if image.mode in ("RGB", "RGBA"):
            raise DataError(
                "expected a label map of one 8-bit channel, got colours: a map made to be looked at; use the "
                "one with train ids"
            )
        raise DataError(
            f"expected a label map of one 8-bit channel, got mode {image.mode}, as maps of instances have; "
            "use the one with train ids"
        )
    return np.asarray(image)


def translated(labels: Pixels, lut: NDArray[np.uint8] | None) -> Pixels:
    """Every value v as lut[v]."""
    return labels if lut is None else lut[labels]


def values_of(labels: Pixels) -> list[int]:
    """The different values, sorted."""
    return np.flatnonzero(np.bincount(labels.ravel(), minlength=IGNORED + 1)).tolist()


def check_values(values: Iterable[int], *, classes: int, name: str) -> None:
    """Raise DataError, with the cause, on values that are neither train ids nor 255; `name` is the file's."""
    there = list(values)
    wrong = [value for value in there if value >= classes and value != IGNORED]
    if not wrong:
        return
    expected = f"expected train ids 0 to {classes - 1}, and {IGNORED} for what is not scored"
    got = ", ".join(map(str, wrong[:4])) + " and more" * (len(wrong) > 4)
    raise DataError(f"{expected}, got {got}{_cause(there, wrong, classes, name)}")


def check_together(values: Iterable[int], *, maps: int, classes: int) -> None:
    """Raise DataError where several maps are in range, but no pixel of them is labelled, 0, or 255.

    Class 0 fills much of every street scene: road in Cityscapes. Some of every scene is not scored: the own
    car, what no class fits.
    """
    there = set(values)
    found = sorted(there - {IGNORED})
    if maps < ENOUGH or not there:
        return
    if not found:
        raise DataError(
            f"expected labels in some of {maps} label maps, got {IGNORED} alone: no pixel would be scored; "
            "use a split whose labels are public"
        )
    if found[0] > 0:
        raise DataError(
            f"expected class 0 in some of {maps} label maps, got none (values {found[0]} to {found[-1]}): "
            f"labels that start at 1, off by one; use the original train ids, 0 to {classes - 1}"
        )
    if IGNORED not in there:
        raise DataError(
            f"expected {IGNORED} in some of {maps} label maps, for what is not scored, got none: labels that "
            f"start at 1, off by one, with 0 in its place; use the original train ids, 0 to {classes - 1}"
        )


def check_fits(image: Path | str, size: Size, mask: Path | str, of_mask: Size) -> None:
    """Raise DataError where a label map has another size, width and height, than its image."""
    if size != of_mask:
        raise DataError(
            f"{image}: expected a label map of its size, {size_text(size)}, got {size_text(of_mask)} in "
            f"{mask}; keep both as they were published"
        )


def check_one_size(title: str, first: Path | str, size: Size, other: Path | str, of_other: Size) -> None:
    """Raise DataError where two images of a set differ in size."""
    if size != of_other:
        raise DataError(
            f"{title}: expected images of one size, got {size_text(size)} in {first} and "
            f"{size_text(of_other)} in {other}; keep the images as they were published"
        )


def size_text(size: Size) -> str:
    """`2048x1024`: width and height."""
    return "x".join(map(str, size))


def _cause(there: list[int], wrong: list[int], classes: int, name: str) -> str:
    of_cityscapes = classes == len(CLASSES) and wrong[-1] <= CITYSCAPES_IDS
    if name.endswith("labelIds.png") or (of_cityscapes and wrong[-1] > classes):
        return (
            f": these are labelIds, 0 to {CITYSCAPES_IDS}, where labelTrainIds are needed; make them with "
            "csCreateTrainIdLabelImgs of cityscapesscripts"
        )
    if wrong == [classes] and there[0] > 0:
        return f": labels that start at 1, off by one; use the original train ids, 0 to {classes - 1}"
    if wrong == [classes] and IGNORED not in there:
        return (
            f": no pixel is {IGNORED}, so labels start at 1, off by one, with 0 for what is not scored, or "
            f"{classes} stands for it; use the original train ids, 0 to {classes - 1}"
        )
    if wrong == [IGNORED - 1]:
        return (
            f": labels that were lowered by one, so that {IGNORED} became {IGNORED - 1} and 0 became "
            f"{IGNORED}; use the original train ids"
        )
    return "; these labels belong to another set of classes"
