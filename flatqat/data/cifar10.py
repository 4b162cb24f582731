"""CIFAR-10 from whichever of its usual layouts is on disk, first parquet, then pickles, then folders.

Training uses 45,000 images of the training file and selection the other 5,000; the test file is only ever
scored. Ids are positions in the file that an image comes from. Nothing is downloaded.

Source: Krizhevsky 2009, "Learning multiple layers of features from tiny images".
"""

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from flatqat.data.layouts import batches, folders, parquet
from flatqat.data.roots import contents, data_root
from flatqat.data.stored import Stored
from flatqat.errors import DataError

if TYPE_CHECKING:
    from flatqat.data.images import ImageData

Split = Literal["train", "test"]

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
COUNTS: dict[Split, int] = {"train": 50_000, "test": 10_000}
SIDE = 32
SPLIT_SEED = 0


def train(root: Path | None) -> "ImageData":
    """45,000 training images: nine tenths of a fixed permutation of the training file."""
    return _part(root, first=True)


def val(root: Path | None) -> "ImageData":
    """5,000 images for selection: the last tenth of the same permutation."""
    return _part(root, first=False)


def test(root: Path | None) -> "ImageData":
    """The 10,000 test images."""
    return _decoded(data_root(root, "CIFAR-10"), "test")


def open_split(root: Path | None, split: Split) -> Stored:
    """The images of one file, not yet decoded.

    Raises DataError when it is not there, damaged, not of the known size, or labelled outside 0 to 9.
    """
    stored = _find(data_root(root, "CIFAR-10"), split)
    if len(stored) != COUNTS[split]:
        raise DataError(
            f"{stored.where}: expected {COUNTS[split]} {split} images, got {len(stored)}; complete the copy"
        )
    low, high = stored.labels.min(), stored.labels.max()
    if low < 0 or high >= len(CLASSES):
        at = int(((stored.labels < 0) | (stored.labels >= len(CLASSES))).argmax())
        raise DataError(
            f"{stored.name(at)}: expected labels from 0 to {len(CLASSES) - 1}, got {stored.labels[at]}; "
            "check that this is CIFAR-10 and not CIFAR-100"
        )
    return stored


def _part(root: Path | None, first: bool) -> "ImageData":
    import torch

    data = _decoded(data_root(root, "CIFAR-10"), "train")
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(SPLIT_SEED))
    cut = len(data) * 9 // 10
    return data.subset(order[:cut] if first else order[cut:])


@lru_cache(maxsize=4)
def _decoded(root: Path, split: Split) -> "ImageData":
    import torch

    from flatqat.data.images import ImageData

    stored = open_split(root, split)
    images, labels = torch.from_numpy(stored.pixels(SIDE)), torch.from_numpy(stored.labels.copy())
    return ImageData.in_memory(images, labels, classes=len(CLASSES), source=stored.where)


def _find(root: Path, split: Split) -> Stored:
    bases = [base for base in (root / "cifar10", root / "cifar-10", root / "CIFAR-10", root) if base.is_dir()]
    for layout in (_parquet, _batches, _folders):
        for base in bases:
            if (stored := layout(base, split)) is not None:
                return stored
    archive = next((path for base in bases for path in base.glob("cifar-10-python.tar*")), None)
    mend = (
        f"unpack {archive}" if archive else "point --data-root at the folder that holds one of these layouts"
    )
    raise DataError(
        f"{root}: expected the {split} images of CIFAR-10 as cifar10/{split}-*.parquet, cifar-10-batches-py/ "
        f"or cifar10/{split}/<class>/*.png, got {contents(root)}; {mend}"
    )


def _parquet(base: Path, split: Split) -> Stored | None:
    for folder in (base, base / "plain_text"):
        if files := list(folder.glob(f"{split}-*.parquet")):
            return parquet.read(files, image="img", label="label")
    return None


def _batches(base: Path, split: Split) -> Stored | None:
    names = ["test_batch"] if split == "test" else [f"data_batch_{number}" for number in range(1, 6)]
    for folder in (base / "cifar-10-batches-py", base):
        if any((folder / name).is_file() for name in names):
            return batches.read([folder / name for name in names])
    return None


def _folders(base: Path, split: Split) -> Stored | None:
    if any((base / split / name).is_dir() for name in CLASSES):
        return folders.read(base / split, CLASSES)
    return None
