"""CIFAR-10 or CIFAR-100 from whichever usual layout is on disk: parquet, then pickles, then folders.

45,000 images of the training file are for training and the other 5,000 for selection; the test file is only
scored. Ids are positions in the file that an image comes from. Nothing is downloaded.
"""

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from flatqat.data.cifar import folders, parquet, pickles
from flatqat.data.cifar.sets import COUNTS, SIDE, Cifar, Split
from flatqat.data.images.data_root import contents, data_root
from flatqat.data.images.encoded import EncodedImages
from flatqat.data.images.entries import folder_names, has_file, has_folder
from flatqat.errors import DataError

if TYPE_CHECKING:
    from flatqat.data.tensors.image_data import ImageData

Part = Literal["train", "val", "test"]

SPLIT_SEED = 0


def load(cifar: Cifar, part: Part, root: Path | None) -> "ImageData":
    """Load the 10,000 test images, or a part of the training file.

    `train` is the first nine tenths of a fixed permutation of it, 45,000 images, `val` the last tenth. Raises
    DataError as `open_split` does, and if images do not decode.
    """
    import torch

    base = data_root(root, cifar.name)
    if part == "test":
        return _decoded(cifar, base, "test")
    data = _decoded(cifar, base, "train")
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(SPLIT_SEED))
    cut = len(data) * 9 // 10
    return data.subset(order[:cut] if part == "train" else order[cut:])


def open_split(cifar: Cifar, root: Path | None, split: Split) -> EncodedImages:
    """Return the images of one file, still encoded.

    Raises DataError if it is missing, damaged or of the wrong size, or its labels are of another dataset.
    """
    stored = _find(cifar, data_root(root, cifar.name), split)
    if len(stored) != COUNTS[split]:
        raise DataError(
            f"{stored.source}: expected {COUNTS[split]} {split} images, got {len(stored)}; complete the copy"
        )
    outside = (stored.labels < 0) | (stored.labels > cifar.last)
    if outside.any():
        index = int(outside.argmax())
        got, fix = stored.labels[index], cifar.out_of_range()
        raise DataError(f"{stored.name(index)}: expected labels from 0 to {cifar.last}, got {got}; {fix}")
    check_classes(cifar, stored.labels, stored.source)
    return stored


def check_classes(cifar: Cifar, labels: NDArray[np.int64], where: object) -> None:
    """Raise DataError if labels are in range but end as those of another dataset or the coarse ones do."""
    if whose := cifar.mistaken(labels.max()):
        raise DataError(
            f"{where}: expected labels from 0 to {cifar.last}, got {labels.min()} to {labels.max()}, which "
            f"are {whose}; use the labels of the {len(cifar.classes)} classes of {cifar.name}"
        )


@lru_cache(maxsize=4)
def _decoded(cifar: Cifar, root: Path, split: Split) -> "ImageData":
    import torch

    from flatqat.data.tensors.image_data import ImageData

    stored = open_split(cifar, root, split)
    images, labels = torch.from_numpy(stored.pixels(SIDE)), torch.from_numpy(stored.labels.copy())
    return ImageData.in_memory(images, labels, classes=len(cifar.classes), source=stored.source)


def _find(cifar: Cifar, root: Path, split: Split) -> EncodedImages:
    bases = [base for base in (*(root / name for name in cifar.folders), root) if has_folder(base)]
    for layout in (_parquet, _pickles, _folders):
        for base in bases:
            if (stored := layout(cifar, base, split)) is not None:
                return stored
    fix = "point --data-root at the folder that holds one of these layouts"
    if archive := next((path for base in bases for path in base.glob(f"{cifar.archive}*")), None):
        fix = f"unpack {archive}"
    raise DataError(
        f"{root}: expected the {split} images of {cifar.name} as {cifar.slug}/{split}-*.parquet, "
        f"{cifar.unpacked}/ or {cifar.slug}/{split}/<class>/*.png, got {contents(root)}; {fix}"
    )


def _parquet(cifar: Cifar, base: Path, split: Split) -> EncodedImages | None:
    for folder in (base, base / cifar.config):
        if has_folder(folder) and (files := list(folder.glob(f"{split}-*.parquet"))):
            return parquet.read(files, image="img", label=cifar.column)
    return None


def _pickles(cifar: Cifar, base: Path, split: Split) -> EncodedImages | None:
    names = cifar.files(split)
    for folder in (base / cifar.unpacked, base):
        if any(has_file(folder / name) for name in names):
            return pickles.read([folder / name for name in names], label=cifar.key)
    return None


def _folders(cifar: Cifar, base: Path, split: Split) -> EncodedImages | None:
    """Accept any folders if `base` has the dataset's name, otherwise only those named after its classes."""
    names = folder_names(base / split) if has_folder(base / split) else []
    if names and (base.name in cifar.folders or not set(names).isdisjoint(cifar.classes)):
        return folders.read(base / split, cifar.classes)
    return None
