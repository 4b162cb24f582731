"""What distinguishes CIFAR-10 from CIFAR-100: names, classes, files and keys.

Imports the standard library only.

Sources: Krizhevsky 2009, "Learning multiple layers of features from tiny images"; for the corrupted images,
Hendrycks & Dietterich 2019.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Split = Literal["train", "test"]

#: Images of each file, the same in both sets.
COUNTS: dict[Split, int] = {"train": 50_000, "test": 10_000}
SIDE = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Cifar:
    """CIFAR-10 or CIFAR-100.

    Attributes:
        name: `CIFAR-10` or `CIFAR-100`.
        classes: The names of the classes in the order of their labels.
        config: The folder of the parquet files in their repository.
        column: The labels' column in the parquet files.
        archive: The original archive of pickles.
        unpacked: The folder in that archive.
        train_files: The pickles of training images, in order.
        test_files: The pickles of test images.
        key: The key of the labels in the pickles.
        record: Where to download the corrupted images.
        larger: The dataset whose labels are out of range here.
        smaller: Pairs (number of classes, whose labels) for labels that are all in range here.
    """

    name: str
    classes: tuple[str, ...]
    config: str
    column: str
    archive: str
    unpacked: str
    train_files: tuple[str, ...]
    test_files: tuple[str, ...]
    key: str
    record: str
    larger: str = ""
    smaller: tuple[tuple[int, str], ...] = ()

    @property
    def slug(self) -> str:
        """The dataset's name in the names of suites and folders, such as `cifar10`."""
        return self.name.replace("-", "").lower()

    @property
    def folders(self) -> tuple[str, ...]:
        """Names that the folder of clean images may have in the data root."""
        return (self.slug, self.name.lower(), self.name)

    @property
    def corrupted(self) -> str:
        """The name of the corrupted test images, their folder and archive, such as `CIFAR-10-C`."""
        return f"{self.name}-C"

    def files(self, split: Split) -> tuple[str, ...]:
        """Return the pickles of a split, in order."""
        return self.train_files if split == "train" else self.test_files

    @property
    def last(self) -> int:
        """The highest label."""
        return len(self.classes) - 1

    def out_of_range(self, suffix: str = "") -> str:
        """Return the fix for labels that are not 0 to `last`; `suffix` is `-C` for corrupted images."""
        larger = f" and not {self.larger}{suffix}" if self.larger else ""
        return f"check that this is {self.name}{suffix}{larger}"

    def mistaken(self, highest: int) -> str | None:
        """Return whose labels these are if the highest one belongs to a smaller labeling, else None."""
        return dict(self.smaller).get(highest + 1)


CIFAR10 = Cifar(
    name="CIFAR-10",
    classes=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    config="plain_text",
    column="label",
    archive="cifar-10-python.tar",
    unpacked="cifar-10-batches-py",
    train_files=("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5"),
    test_files=("test_batch",),
    key="labels",
    record="zenodo.org/records/2535967",
    larger="CIFAR-100",
)

CIFAR100 = Cifar(
    name="CIFAR-100",
    classes=tuple(Path(__file__).with_name("classes_100.txt").read_text(encoding="ascii").split()),
    config="cifar100",
    column="fine_label",
    archive="cifar-100-python.tar",
    unpacked="cifar-100-python",
    train_files=("train",),
    test_files=("test",),
    key="fine_labels",
    record="zenodo.org/records/3555552",
    smaller=((10, "the labels of CIFAR-10"), (20, "the coarse labels of CIFAR-100, its superclasses")),
)
