"""What tells CIFAR-10 and CIFAR-100 apart: names, classes, files, keys. Standard library only.

Sources: Krizhevsky 2009, "Learning multiple layers of features from tiny images"; of the corrupted images,
Hendrycks & Dietterich 2019.
"""

from dataclasses import dataclass
from typing import Literal

Split = Literal["train", "test"]

#: Images of each file, the same in both sets.
COUNTS: dict[Split, int] = {"train": 50_000, "test": 10_000}
SIDE = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Cifar:
    """One of the two sets.

    `classes` are the names in the order of their labels. `column` holds the labels in the parquet files,
    which lie in the folder `config` of their repository, and `key` in the pickles, which lie in the folder
    `unpacked` of `archive`. `record` is where the corrupted images are. `larger` is the set whose labels are
    out of range here, and `smaller` says whose labels are all in range: (how many classes, whose).
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
        """`cifar10`: the name in those of suites and folders."""
        return self.name.replace("-", "").lower()

    @property
    def folders(self) -> tuple[str, ...]:
        """What the folder of the clean images may be called within the data root."""
        return (self.slug, self.name.lower(), self.name)

    @property
    def corrupted(self) -> str:
        """`CIFAR-10-C`: the corrupted test images, their folder and their archive."""
        return f"{self.name}-C"

    def files(self, split: Split) -> tuple[str, ...]:
        """The pickles of a split, in order."""
        return self.train_files if split == "train" else self.test_files

    @property
    def last(self) -> int:
        """The highest label."""
        return len(self.classes) - 1

    def out_of_range(self, suffix: str = "") -> str:
        """How to mend labels that are not 0 to `last`; the suffix is that of the corrupted images."""
        larger = f" and not {self.larger}{suffix}" if self.larger else ""
        return f"check that this is {self.name}{suffix}{larger}"

    def mistaken(self, highest: int) -> str | None:
        """Whose labels these are when the highest is that of a smaller labeling; None when it is not."""
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
    classes=(
        "apple", "aquarium_fish", "baby", "bear", "beaver", "bed", "bee", "beetle", "bicycle",
        "bottle", "bowl", "boy", "bridge", "bus", "butterfly", "camel", "can", "castle",
        "caterpillar", "cattle", "chair", "chimpanzee", "clock", "cloud", "cockroach", "couch",
        "crab", "crocodile", "cup", "dinosaur", "dolphin", "elephant", "flatfish", "forest", "fox",
        "girl", "hamster", "house", "kangaroo", "keyboard", "lamp", "lawn_mower", "leopard", "lion",
        "lizard", "lobster", "man", "maple_tree", "motorcycle", "mountain", "mouse", "mushroom",
        "oak_tree", "orange", "orchid", "otter", "palm_tree", "pear", "pickup_truck", "pine_tree",
        "plain", "plate", "poppy", "porcupine", "possum", "rabbit", "raccoon", "ray", "road",
        "rocket", "rose", "sea", "seal", "shark", "shrew", "skunk", "skyscraper", "snail", "snake",
        "spider", "squirrel", "streetcar", "sunflower", "sweet_pepper", "table", "tank",
        "telephone", "television", "tiger", "tractor", "train", "trout", "tulip", "turtle",
        "wardrobe", "whale", "willow_tree", "wolf", "woman", "worm",
    ),
    config="cifar100",
    column="fine_label",
    archive="cifar-100-python.tar",
    unpacked="cifar-100-python",
    train_files=("train",),
    test_files=("test",),
    key="fine_labels",
    record="zenodo.org/records/3555552",
    smaller=((10, "the labels of CIFAR-10"), (20, "the coarse labels of CIFAR-100, its superclasses")),
)  # fmt: skip
