"""The classes that the names of images prove, so that labels in any other order are found out.

A validation image is known by its number (`ILSVRC2012_val_00000293`), and an image whose name begins with a
WordNet id (`n01440764_10026`) by that. Byte i of `val_checks.bin` is the label of validation image i + 1,
modulo MODULUS: enough to refute a label, and with a few images any other order, but no list of labels.
Imports no torch.

Source: the published ground truth of ILSVRC 2012, on which its development kit and the lists of sorted
folders in circulation agree for all 50,000 images.
"""

import re
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from flatqat.data.imagenet import classes
from flatqat.data.imagenet.files import NUMBER, Images
from flatqat.errors import DataError

MODULUS = 251
_WNID = re.compile(r"n\d{8}(?=_)")


def in_known_order(images: Images) -> Images:
    """Return images whose names prove their labels; without any that does, the doubt about them stays.

    Raises DataError if an image that is known by its name has another label.
    """
    known = [(place, check) for place, name in enumerate(images.names) if (check := _check(name)) is not None]
    wrong = [place for place, check in known if images.labels[place] % MODULUS != check]
    if wrong:
        name, label = images.names[wrong[0]], images.labels[wrong[0]]
        got = f"another for {len(wrong):,} of {len(known):,} that are known by name"
        raise DataError(
            f"{images.folder}: expected the published class of every image, got {got}, such as {label} "
            f"({classes.wnids()[label]}) for {name}, so labels may count the classes in another order than "
            "that of WordNet ids; sort the images by val.txt of caffe_ilsvrc12 or LOC_val_solution.csv"
        )
    return replace(images, doubt="") if known else images


def _check(name: str) -> int | None:
    """Return an image's label modulo MODULUS, or None if its name does not tell."""
    if number := NUMBER.search(name):
        checks, place = _val_checks(), int(number[1]) - 1
        return int(checks[place]) if 0 <= place < len(checks) else None
    wnid = _WNID.match(name.rpartition("/")[2])
    label = classes.labels().get(wnid[0]) if wnid else None
    return None if label is None else label % MODULUS


@lru_cache(maxsize=1)
def _val_checks() -> "np.ndarray[tuple[int], np.dtype[np.uint8]]":
    return np.frombuffer(Path(__file__).with_name("val_checks.bin").read_bytes(), np.uint8)
