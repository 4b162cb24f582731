"""Every way in which a copy of CIFAR-10-C or CIFAR-100-C can be wrong, told by loading and by `verify`."""

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from flatqat.data.cifar import corrupted
from flatqat.data.cifar.sets import CIFAR10, CIFAR100, Cifar
from flatqat.data.cifar.verify_corrupted import verify_corrupted
from flatqat.data.corruptions.names import NAMES
from flatqat.errors import DataError
from tests.helpers import cifar_c_files
from tests.helpers import cifar_files as files
from tests.helpers.cifar_c_files import ENDS, FOLDERS, sparse

pytestmark = pytest.mark.usefixtures("few_training_images")

FOG, LABELS = "fog.npy", "labels.npy"

Fault = Callable[[Path], None]


def saved(name: str, array: np.ndarray) -> Fault:
    def fault(folder: Path) -> None:
        (folder / name).unlink()  # a link: writing into it would change the original
        np.save(folder / name, array)

    return fault


def replaced(name: str, content: bytes) -> Fault:
    def fault(folder: Path) -> None:
        (folder / name).unlink()
        (folder / name).write_bytes(content)

    return fault


def cut(folder: Path) -> None:
    """The download stopped within the third severity."""
    (folder / FOG).unlink()
    sparse(folder / FOG)
    os.truncate(folder / FOG, 70_000_000)


def zipped(folder: Path) -> None:
    """As `np.savez` writes, whatever the file is called."""
    (folder / FOG).unlink()
    with open(folder / FOG, "wb") as file:
        np.savez(file, fog=np.zeros(3))


def relabeled(cifar: Cifar, rows: slice | int, value: int) -> Fault:
    labels = cifar_c_files.labels(cifar)
    labels.reshape(5, -1)[:, rows] = value
    return saved(LABELS, labels)


def swapped(cifar: Cifar) -> Fault:
    """The labels of the test set in the order of the classes."""
    return saved(LABELS, np.tile(np.sort(files.labels(cifar, 10_000)), 5))


FAULTS: dict[str, tuple[Fault, str]] = {
    "missing": (lambda folder: (folder / FOG).unlink(), r"fog\.npy: expected this file, got none; unpack"),
    "small": (
        saved(FOG, np.ones((500, 32, 32, 3), np.uint8)),
        r"fog\.npy: expected uint8 of shape \(50000, 32, 32, 3\), 10000 rows for each severity, "
        r"got uint8 of shape \(500, 32, 32, 3\); use the complete",
    ),
    "one severity": (saved(FOG, np.ones((10_000, 32, 32, 3), np.uint8)), r"got uint8 of shape \(10000,"),
    "floats": (saved(FOG, np.ones((5, 32, 32, 3), np.float32)), "expected uint8 .* got float32"),
    "channels first": (saved(FOG, np.ones((5, 3, 32, 32), np.uint8)), r"got uint8 of shape \(5, 3, 32"),
    "cut": (cut, r"fog\.npy: expected a complete \.npy file, got .*; download it again"),
    "empty": (replaced(FOG, b""), r"fog\.npy: expected a complete \.npy file"),
    "no npy": (replaced(FOG, b"<html>404</html>"), r"fog\.npy: expected a complete \.npy file"),
    "zip": (zipped, r"fog\.npy: expected a \.npy file, got a zip archive; unpack it"),
    "objects": (saved(FOG, np.array([{"a": 1}], object)), r"fog\.npy: expected a complete \.npy file"),
    "no labels": (lambda folder: (folder / LABELS).unlink(), r"labels\.npy: expected this file, got none"),
    "few labels": (
        saved(LABELS, files.labels(CIFAR10, 10_000)),
        r"labels\.npy: expected integers of shape \(50000,\), got int64 of shape \(10000,\)",
    ),
    "float labels": (saved(LABELS, np.zeros(50_000)), "expected integers .* got float64"),
    "labels by severity": (
        saved(LABELS, np.repeat(np.arange(5), 10_000)),
        "expected the same labels for each severity",
    ),
}
FAULTS_OF: dict[Cifar, dict[str, tuple[Fault, str]]] = {
    CIFAR10: {
        "CIFAR-100-C": (
            saved(LABELS, cifar_c_files.labels(CIFAR100)),
            r"from 0 to 9, got 0 to 99; check that this is CIFAR-10-C and not CIFAR-100-C$",
        ),
        "another label": (
            relabeled(CIFAR10, 4_321, 1),
            "clean test images in the same order, got 1 for 0 in row 4321; use a copy of CIFAR-10 in its "
            r"original order \(cifar-10-batches-py",
        ),
        "another order": (
            swapped(CIFAR10),
            "in the same order, got 0 for 3 in row 0; use a copy of CIFAR-10",
        ),
    },
    CIFAR100: {
        "label 100": (
            relabeled(CIFAR100, 3, 100),
            "from 0 to 99, got 0 to 100; check that this is CIFAR-100-C$",
        ),
        "CIFAR-10-C": (
            saved(LABELS, cifar_c_files.labels(CIFAR10)),
            r"labels\.npy: expected labels from 0 to 99, got 0 to 9, which are the labels of CIFAR-10; use",
        ),
        "coarse labels": (
            saved(LABELS, files.COARSE[cifar_c_files.labels(CIFAR100)]),
            r"labels\.npy: expected labels from 0 to 99, got 0 to 19, which are the coarse labels",
        ),
        "another label": (
            relabeled(CIFAR100, 4_321, 1),
            "clean test images in the same order, got 1 for 50 in row 4321; use a copy of CIFAR-100 in its "
            r"original order \(cifar-100-python",
        ),
        "another order": (
            swapped(CIFAR100),
            "in the same order, got 0 for 3 in row 0; use a copy of CIFAR-100",
        ),
    },
}


def assert_told(cifar: Cifar, root: Path, message: str) -> None:
    """Loading fails with `message`, and so does `verify`, with one wrong finding."""
    with pytest.raises(DataError, match=message):
        corrupted.corrupted(cifar, root, corruption="fog", severity=1)
    (bad,) = [finding for finding in verify_corrupted(cifar, root) if not finding.ok]
    assert bad.fix
    assert re.search(message, f"{bad.what}; {bad.fix}")


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_is_told_by_loading_and_by_verify(
    cifar: Cifar, root: Path, folder: Path, name: str
) -> None:
    fault, message = FAULTS[name]
    fault(folder)
    assert_told(cifar, root, message)


@pytest.mark.parametrize(
    ("cifar", "name"),
    [(cifar, name) for cifar in FAULTS_OF for name in FAULTS_OF[cifar]],
    indirect=["cifar"],
    ids=lambda value: getattr(value, "name", value),
)
def test_labels_of_another_set_are_told(cifar: Cifar, root: Path, folder: Path, name: str) -> None:
    fault, message = FAULTS_OF[cifar][name]
    fault(folder)
    assert_told(cifar, root, message)


def test_a_file_that_ends_in_zeros_is_found(cifar: Cifar, root: Path, folder: Path) -> None:
    (folder / FOG).unlink()
    array = np.lib.format.open_memmap(folder / FOG, "w+", np.uint8, (50_000, 32, 32, 3))
    array[ENDS[:5]] = 7
    array.flush()
    (bad,) = [finding for finding in verify_corrupted(cifar, root) if not finding.ok]
    assert "expected images at severity 3, got zeros in row 29999" in bad.what


def test_all_files_missing_but_the_labels(cifar: Cifar, root: Path, folder: Path) -> None:
    for name in NAMES:
        (folder / f"{name}.npy").unlink()
    bad = [finding for finding in verify_corrupted(cifar, root) if not finding.ok]
    assert len(bad) == 19


def test_without_the_folder(cifar: Cifar, root: Path, folder: Path) -> None:
    shutil.rmtree(folder)
    record = {CIFAR10: "zenodo.org/records/2535967", CIFAR100: "zenodo.org/records/3555552"}[cifar]
    told = (
        rf"expected a folder {folder.name} with .* got {files.ARCHIVES[cifar][0]}/; unpack {folder.name}\.tar"
    )
    with pytest.raises(DataError, match=f"{told} of {record}"):
        corrupted.find(cifar, root)
    (root / f"{folder.name}.tar").write_bytes(b"")
    with pytest.raises(DataError, match=rf"; unpack .*/{folder.name}\.tar$"):
        corrupted.find(cifar, root)
    assert [finding.ok for finding in verify_corrupted(cifar, root)] == [True] * 7 + [False]


def test_without_the_clean_images(cifar: Cifar, root: Path) -> None:
    shutil.rmtree(root / files.ARCHIVES[cifar][0])
    with pytest.raises(DataError, match=f"expected the test images of {cifar.name}"):
        corrupted.corrupted(cifar, root, corruption="fog", severity=1)
    assert sum(not finding.ok for finding in verify_corrupted(cifar, root)) == 2


@pytest.mark.parametrize("root", [None, Path("nowhere")])
def test_without_a_data_root(cifar: Cifar, root: Path | None) -> None:
    (finding,) = verify_corrupted(cifar, root)
    assert not finding.ok
    assert finding.fix
    with pytest.raises(DataError, match="data-root"):
        corrupted.corrupted(cifar, root, corruption="fog", severity=1)


@pytest.mark.parametrize(
    ("given", "needed", "message"),
    [
        (CIFAR10, CIFAR100, "which are the labels of CIFAR-10; use"),
        (CIFAR100, CIFAR10, "got 0 to 99; check that this is CIFAR-10-C and not CIFAR-100-C"),
    ],
    ids=["CIFAR-10-C", "CIFAR-100-C"],
)
def test_the_files_of_the_other_set_are_refused(
    written: Callable[[Cifar], Path], given: Cifar, needed: Cifar, message: str
) -> None:
    """They have the same names and shapes: the labels tell whose they are."""
    with pytest.raises(DataError, match=message):
        corrupted.corrupted(needed, written(given) / FOLDERS[given], corruption="fog", severity=1)
