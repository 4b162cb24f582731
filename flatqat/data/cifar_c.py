"""CIFAR-10-C from its official files: the clean test images, corrupted once and stored.

    CIFAR-10-C/<corruption>.npy    uint8 (50000, 32, 32, 3): severity s in rows 10000(s - 1) to 10000s
    CIFAR-10-C/labels.npy          integers (50000,): the labels of the test set, five times

Source: Hendrycks & Dietterich 2019, zenodo.org/records/2535967.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from flatqat.data import cifar10
from flatqat.data.corruptions.names import NAMES, SEVERITIES
from flatqat.data.roots import contents, data_root
from flatqat.data.stored import Pixels
from flatqat.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor

    from flatqat.data.images import ImageData

EACH = cifar10.COUNTS["test"]
SHAPE = (EACH * len(SEVERITIES), cifar10.SIDE, cifar10.SIDE, 3)


def corrupted(root: Path | None, *, corruption: str, severity: int) -> "ImageData":
    """The 10,000 test images at one severity, read from disk batch by batch, in the order of the test set.

    Raises DataError when the file is missing or of another shape, and when its labels are not those of the
    clean test images in the same order.
    """
    import torch

    from flatqat.data.images import ImageData

    folder = find(root)
    images, first = open_images(folder, corruption), EACH * (severity - 1)
    clean = cifar10.test(clean_root(root))
    check_order(folder, open_labels(folder), clean.labels.numpy())

    def fetch(index: "Tensor") -> "Tensor":
        rows = images[first + index.numpy()]
        return torch.from_numpy(rows).permute(0, 3, 1, 2).contiguous()

    return ImageData(labels=clean.labels, ids=clean.ids, fetch=fetch)


def find(root: Path | None) -> Path:
    """The folder with the .npy files. Raises DataError when there is none."""
    base = data_root(root, "CIFAR-10-C")
    for folder in (base / "CIFAR-10-C", base / "cifar-10-c", base / "cifar10-c", base):
        if any((folder / f"{name}.npy").is_file() for name in (*NAMES, "labels")):
            return folder
    archive = next(base.glob("CIFAR-10-C.tar*"), None)
    mend = f"unpack {archive}" if archive else "unpack CIFAR-10-C.tar of zenodo.org/records/2535967 there"
    raise DataError(
        f"{base}: expected a folder CIFAR-10-C with <corruption>.npy and labels.npy, "
        f"got {contents(base)}; {mend}"
    )


def clean_root(root: Path | None) -> Path | None:
    """Where to look for the clean images: the data root, or its parent where it is CIFAR-10-C itself."""
    folder = find(root)
    return folder.parent if folder == data_root(root, "CIFAR-10-C") else root


def open_images(folder: Path, corruption: str) -> Pixels:
    """One file, mapped and not read. Raises DataError when it is missing, damaged or of another shape."""
    images: Pixels = _open(folder / f"{corruption}.npy")
    if images.shape != SHAPE or images.dtype != np.uint8:
        raise DataError(
            f"{folder / corruption}.npy: expected uint8 of shape {SHAPE}, {EACH} rows a severity, "
            f"got {images.dtype} of shape {images.shape}; use the whole official file"
        )
    return images


def open_labels(folder: Path) -> NDArray[np.int64]:
    """The labels of one severity (10000,). Raises DataError when the severities have different ones."""
    file = folder / "labels.npy"
    labels = _open(file)
    if labels.shape != SHAPE[:1] or labels.dtype.kind not in "iu":
        raise DataError(
            f"{file}: expected integers of shape {SHAPE[:1]}, got {labels.dtype} of shape {labels.shape}; "
            "use the official file"
        )
    blocks = np.asarray(labels, np.int64).reshape(len(SEVERITIES), EACH)
    if (blocks != blocks[0]).any():
        raise DataError(
            f"{file}: expected the same labels for each severity, got others; use the official file"
        )
    if blocks.min() < 0 or blocks.max() >= len(cifar10.CLASSES):
        raise DataError(
            f"{file}: expected labels from 0 to {len(cifar10.CLASSES) - 1}, got {blocks.min()} to "
            f"{blocks.max()}; check that this is CIFAR-10-C and not CIFAR-100-C"
        )
    first: NDArray[np.int64] = blocks[0]
    return first


def check_order(folder: Path, labels: NDArray[np.int64], clean: NDArray[np.int64]) -> None:
    """Refuse labels that differ from those of the clean test images: image i would not be image i."""
    if (labels != clean).any():
        row = int((labels != clean).argmax())
        raise DataError(
            f"{folder / 'labels.npy'}: expected the labels of the clean test images in the same order, got "
            f"{labels[row]} for {clean[row]} in row {row}; use a copy of CIFAR-10 in its original order "
            "(cifar-10-batches-py, or the parquet files of the Hub)"
        )


def _open(file: Path) -> Any:
    if not file.is_file():
        raise DataError(f"{file}: expected this file, got none; unpack the whole of CIFAR-10-C.tar")
    try:
        return np.load(file, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{file}: expected a whole .npy file, got {error}; download it again") from error
