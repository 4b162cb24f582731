"""CIFAR-10-C and CIFAR-100-C in files of the true shape, mostly holes."""

from pathlib import Path

import numpy as np

from flatqat.data.cifar.sets import CIFAR10, CIFAR100, Cifar
from flatqat.data.corruptions.names import NAMES
from tests.helpers import cifar_files as files

COUNTS = {"train": 200, "test": 10_000}
FOLDERS = {CIFAR10: "CIFAR-10-C", CIFAR100: "CIFAR-100-C"}
ENDS = [row for severity in range(5) for row in (10_000 * severity, 10_000 * severity + 9_999)]


def write(cifar: Cifar, root: Path) -> None:
    """The original archive of the clean images, and the folder of the corrupted ones."""
    files.batches(cifar, root / files.ARCHIVES[cifar][0], COUNTS)
    folder = root / FOLDERS[cifar]
    folder.mkdir()
    for seed, name in enumerate(NAMES):
        sparse(folder / f"{name}.npy", seed)
    np.save(folder / "labels.npy", labels(cifar).astype(np.uint8))


def labels(cifar: Cifar) -> np.ndarray:
    """Those of the test set, five times."""
    return np.tile(files.labels(cifar, 10_000), 5)


def sparse(file: Path, seed: int = 0) -> None:
    """One corruption: noise in the first and last image of each severity and in row 20,005, else holes."""
    array = np.lib.format.open_memmap(file, "w+", np.uint8, (50_000, 32, 32, 3))
    for row in (*ENDS, 20_005):
        array[row] = noise(seed, row)
    array.flush()


def noise(seed: int, row: int) -> np.ndarray:
    return np.random.default_rng((seed, row)).integers(0, 256, (32, 32, 3), dtype=np.uint8)
