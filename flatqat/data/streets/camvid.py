"""CamVid in SegNet's copy, 11 classes at 480x360: three drives by day and one at dusk.

    train  0016E5    val  0006R0    ID  Seq05VD    dusk  0001TP

Each sequence is in one part, with one image per second. Seven seconds of 0016E5 at 15 images per second,
which are the copy's own `val`, are left out. Sources: Brostow et al. 2009 (Pattern Recognition Letters 30),
Badrinarayanan et al. 2017 (arXiv 1511.00561).
"""

import re
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from flatqat.data.images.data_root import contents, data_root, visible_folders
from flatqat.data.images.entries import has_folder
from flatqat.data.streets.listing import Listing, files_by_name, join_listings, pair_up
from flatqat.data.streets.names import CAMVID_CLASSES, Place
from flatqat.errors import DataError
from flatqat.spec import IGNORED

if TYPE_CHECKING:
    from flatqat.data.tensors.image_data import ImageData

SEQUENCES = {"train": "0016E5", "val": "0006R0", "id": "Seq05VD", "dusk": "0001TP"}
COUNTS = {"train": 204, "val": 101, "id": 171, "dusk": 124}
SPLITS = ("train", "val", "test")
VOID = 11
DENSE = range(7959, 8160)  # frames of the training sequence that are 15 per second


@lru_cache(maxsize=8)
def load(root: Path | None, part: str) -> "ImageData":
    """Load a part; the training part takes a transform."""
    return list_part(root, part).load(classes=len(CAMVID_CLASSES), lut=lut(), waits=part == "train")


def lut() -> NDArray[np.uint8]:
    """Return the table from stored labels to train ids: void is not scored, the others stay."""
    table = np.arange(256, dtype=np.uint8)
    table[VOID] = IGNORED
    return table


def list_part(root: Path | None, part: str) -> Listing:
    """List the images of a part. Raises DataError if its sequence is missing."""
    home, sequence = home_of(root), SEQUENCES[part]
    splits = (_split(home, split) for split in SPLITS if has_folder(home / split))
    listing = join_listings(f"CamVid {part}", *splits)
    chosen = [index for index, name in enumerate(listing.names) if _belongs(name, sequence)]
    if not chosen:
        got = ", ".join(sorted({name.split("_")[0] for name in listing.names}))
        expected = f"images of the sequence {sequence} ({part})"
        raise DataError(f"{home}: expected {expected}, got {got}; complete the copy")
    return listing.take(chosen)


def home_of(root: Path | None) -> Path:
    """Return the folder with `train` and `trainannot`. Raises DataError if there is none."""
    base = data_root(root, "CamVid")
    named = [path for path in visible_folders(base) if path.name.lower() == "camvid"]
    for home in (*named, base):
        if all(has_folder(home / split) and has_folder(home / f"{split}annot") for split in SPLITS):
            return home
    place = named[0] if named else base
    expected = f"CamVid in the folders {', '.join(f'{split}, {split}annot' for split in SPLITS)}"
    fix = "use the copy of SegNet's tutorial, with 11 classes"
    raise DataError(f"{place}: expected {expected}, got {contents(place)}; {fix}")


def _split(home: Path, split: str) -> Listing:
    ending = next((end for end in (".png", ".jpg") if files_by_name(home / split, end)), ".png")
    place = Place(images=split, masks=f"{split}annot", image_end=ending, mask_end=".png")
    fix = "use the label maps of SegNet's tutorial"
    return pair_up(f"CamVid {split}", home / split, home / f"{split}annot", place, fix)


def _belongs(name: str, sequence: str) -> bool:
    number = re.fullmatch(rf"{sequence}_f?(\d+)", name)
    dense = sequence == SEQUENCES["train"] and number is not None and int(number[1]) in DENSE
    return number is not None and not dense
