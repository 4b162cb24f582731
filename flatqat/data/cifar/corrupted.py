"""CIFAR-10-C and CIFAR-100-C from their official files: the clean test images, corrupted once and stored.

    CIFAR-10-C/<corruption>.npy    uint8 (50000, 32, 32, 3): severity s in rows 10000(s - 1) to 10000s
    CIFAR-10-C/labels.npy          integers (50000,): the labels of the test set, five times

CIFAR-100-C has the same layout, with the fine labels. Source: Hendrycks & Dietterich 2019,
zenodo.org/records/2535967 and 3555552.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from flatqat.data.cifar.load import check_classes, load
from flatqat.data.cifar.sets import COUNTS, SIDE, Cifar
from flatqat.data.corruptions.names import NAMES, SEVERITIES
from flatqat.data.images.data_root import contents, data_root
from flatqat.data.images.encoded import Pixels
from flatqat.data.images.entries import has_file
from flatqat.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor

    from flatqat.data.tensors.image_data import ImageData

EACH = COUNTS["test"]
SHAPE = (EACH * len(SEVERITIES), SIDE, SIDE, 3)


def corrupted(cifar: Cifar, root: Path | None, *, corruption: str, severity: int) -> "ImageData":
    """Load the test images at one severity, in the order of the test set, read from disk batch by batch.

    Raises DataError as `open_images`, `open_labels` and `check_order` do.
    """
    import torch

    from flatqat.data.tensors.image_data import ImageData

    folder = find(cifar, root)
    images, first = open_images(cifar, folder, corruption), EACH * (severity - 1)
    labels, clean = open_labels(cifar, folder), load(cifar, "test", clean_root(cifar, root))
    assert clean.labels is not None
    check_order(cifar, folder, labels, clean.labels.numpy())

    def fetch(index: "Tensor") -> "Tensor":
        return torch.from_numpy(images[first + index.numpy()]).permute(0, 3, 1, 2).contiguous()

    return ImageData(labels=clean.labels, ids=clean.ids, fetch=fetch)


def find(cifar: Cifar, root: Path | None) -> Path:
    """Return the folder with the .npy files. Raises DataError if there is none."""
    name = cifar.corrupted
    base = data_root(root, name)
    for folder in (base / name, base / name.lower(), base / f"{cifar.slug}-c", base):
        if any(has_file(folder / f"{stem}.npy") for stem in (*NAMES, "labels")):
            return folder
    archive = next(base.glob(f"{name}.tar*"), None)
    fix = f"unpack {archive}" if archive else f"unpack {name}.tar of {cifar.record} there"
    raise DataError(
        f"{base}: expected a folder {name} with <corruption>.npy and labels.npy, got {contents(base)}; {fix}"
    )


def clean_root(cifar: Cifar, root: Path | None) -> Path | None:
    """Return where the clean images are: in the data root, or beside it if it holds the .npy files itself."""
    folder = find(cifar, root)
    return folder.parent if folder == data_root(root, cifar.corrupted) else root


def open_images(cifar: Cifar, folder: Path, corruption: str) -> Pixels:
    """Map one file into memory. Raises DataError if it is missing, damaged or has another shape."""
    images: Pixels = _open(cifar, folder / f"{corruption}.npy")
    if images.shape != SHAPE or images.dtype != np.uint8:
        expected = f"uint8 of shape {SHAPE}, {EACH} rows for each severity"
        got = f"{images.dtype} of shape {images.shape}; use the complete official file"
        raise DataError(f"{folder / corruption}.npy: expected {expected}, got {got}")
    return images


def open_labels(cifar: Cifar, folder: Path) -> NDArray[np.int64]:
    """Return the labels of a severity (10000,). Raises DataError if severities differ or labels are wrong."""
    file = folder / "labels.npy"
    labels = _open(cifar, file)
    if labels.shape != SHAPE[:1] or labels.dtype.kind not in "iu":
        got = f"{labels.dtype} of shape {labels.shape}"
        raise DataError(f"{file}: expected integers of shape {SHAPE[:1]}, got {got}; use the official file")
    blocks = np.asarray(labels, np.int64).reshape(len(SEVERITIES), EACH)
    if (blocks != blocks[0]).any():
        raise DataError(
            f"{file}: expected the same labels for each severity, got others; use the official file"
        )
    if blocks.min() < 0 or blocks.max() > cifar.last:
        got = f"got {blocks.min()} to {blocks.max()}; {cifar.out_of_range('-C')}"
        raise DataError(f"{file}: expected labels from 0 to {cifar.last}, {got}")
    first: NDArray[np.int64] = blocks[0]
    check_classes(cifar, first, file)
    return first


def check_order(cifar: Cifar, folder: Path, labels: NDArray[np.int64], clean: NDArray[np.int64]) -> None:
    """Raise DataError if labels differ from those of the clean test images, whose order is then another."""
    if (labels != clean).any():
        row = int((labels != clean).argmax())
        raise DataError(
            f"{folder / 'labels.npy'}: expected the labels of the clean test images in the same order, got "
            f"{labels[row]} for {clean[row]} in row {row}; use a copy of {cifar.name} in its original order "
            f"({cifar.unpacked}, or the parquet files of the Hub)"
        )


def _open(cifar: Cifar, file: Path) -> Any:
    if not has_file(file):
        raise DataError(f"{file}: expected this file, got none; unpack the whole of {cifar.corrupted}.tar")
    try:
        loaded = np.load(file, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{file}: expected a complete .npy file, got {error}; download it again") from error
    if not isinstance(loaded, np.ndarray):
        raise DataError(f"{file}: expected a .npy file, got a zip archive; unpack it, or download it again")
    return loaded
