"""CamVid in the copy of SegNet, 11 classes at 480x360: three drives by day and one at dusk.

    train  0016E5    val  0006R0    ID  Seq05VD    dusk  0001TP

Each sequence is in one part, images a second apart. Seven seconds of 0016E5 at 15 images a second, which are
the copy's own `val`, are left out. Sources: Brostow et al. 2009 (Pattern Recognition Letters
30), Badrinarayanan et al. 2017 (arXiv 1511.00561).
"""

import re
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from flatqat.data.images.data_root import contents, data_root
from flatqat.data.streets.listed import Listed, files_by_name, joined, pair_up
from flatqat.data.streets.names import CAMVID_CLASSES, Place
from flatqat.errors import DataError
from flatqat.spec import IGNORED

if TYPE_CHECKING:
    from flatqat.data.images.image_data import ImageData

SEQUENCES = {"train": "0016E5", "val": "0006R0", "id": "Seq05VD", "dusk": "0001TP"}
COUNTS = {"train": 204, "val": 101, "id": 171, "dusk": 124}
SPLITS = ("train", "val", "test")
VOID = 11
DENSE = range(7959, 8160)  # frames of the sequence that trains


@lru_cache(maxsize=8)
def load(root: Path | None, part: str) -> "ImageData":
    """A part; that of training waits for a view."""
    return listed(root, part).load(classes=len(CAMVID_CLASSES), lut=lut(), waits=part == "train")


def lut() -> NDArray[np.uint8]:
    """Labels as stored to train ids: void is not scored, the others stay."""
    table = np.arange(256, dtype=np.uint8)
    table[VOID] = IGNORED
    return table


def listed(root: Path | None, part: str) -> Listed:
    """The images of a part. Raises DataError where its sequence is not there."""
    home, sequence = home_of(root), SEQUENCES[part]
    every = joined(f"CamVid {part}", *(_split(home, split) for split in SPLITS if (home / split).is_dir()))
    chosen = [at for at, name in enumerate(every.names) if _belongs(name, sequence)]
    if not chosen:
        there = ", ".join(sorted({name.split("_")[0] for name in every.names}))
        raise DataError(
            f"{home}: expected images of the sequence {sequence} ({part}), got {there}; complete the copy"
        )
    return every.take(chosen)


def home_of(root: Path | None) -> Path:
    """The folder with `train` and `trainannot`. Raises DataError without one."""
    base = data_root(root, "CamVid")
    named = [path for path in sorted(base.iterdir()) if path.name.lower() == "camvid" and path.is_dir()]
    for home in (*named, base):
        if all((home / f"{split}").is_dir() and (home / f"{split}annot").is_dir() for split in SPLITS):
            return home
    place = named[0] if named else base
    folders = ", ".join(f"{split}, {split}annot" for split in SPLITS)
    raise DataError(
        f"{place}: expected CamVid in the folders {folders}, got {contents(place)}; use the copy of SegNet's "
        "tutorial, with 11 classes"
    )


def _split(home: Path, split: str) -> Listed:
    ending = next((end for end in (".png", ".jpg") if files_by_name(home / split, end)), ".png")
    place = Place(images=split, masks=f"{split}annot", image_end=ending, mask_end=".png")
    mend = "use the label maps of SegNet's tutorial"
    return pair_up(f"CamVid {split}", home / split, home / f"{split}annot", place, mend)


def _belongs(name: str, sequence: str) -> bool:
    number = re.fullmatch(rf"{sequence}_f?(\d+)", name)
    dense = sequence == SEQUENCES["train"] and number is not None and int(number[1]) in DENSE
    return number is not None and not dense
