"""CIFAR-10-C from files of the true shape, mostly holes: which row is which, and every way to be wrong."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from flatqat import registry
from flatqat.data import cifar10, cifar_c
from flatqat.data.cifar_c_verify import verify
from flatqat.data.corruptions.names import NAMES
from flatqat.errors import DataError

from . import cifar10_files as files

COUNTS = {"train": 50, "test": 10_000}
ENDS = [row for severity in range(5) for row in (10_000 * severity, 10_000 * severity + 9_999)]


@pytest.fixture(autouse=True)
def few_training_images(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    if "shared" not in request.fixturenames:
        monkeypatch.setitem(cifar10.COUNTS, "train", COUNTS["train"])


def sparse(file: Path, seed: int = 0) -> None:
    """One corruption: noise in the first and last image of each severity and in row 20,005, else holes."""
    array = np.lib.format.open_memmap(file, "w+", np.uint8, (50_000, 32, 32, 3))
    for row in (*ENDS, 20_005):
        array[row] = noise(seed, row)
    array.flush()


def noise(seed: int, row: int) -> np.ndarray:
    return np.random.default_rng((seed, row)).integers(0, 256, (32, 32, 3), dtype=np.uint8)


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """cifar-10-batches-py and CIFAR-10-C in one folder."""
    root = tmp_path_factory.mktemp("cifar")
    files.batches(root / "cifar-10-batches-py", COUNTS)
    (root / "CIFAR-10-C").mkdir()
    for seed, name in enumerate(NAMES):
        sparse(root / "CIFAR-10-C" / f"{name}.npy", seed)
    np.save(root / "CIFAR-10-C/labels.npy", np.tile(files.labels(10_000), 5).astype(np.uint8))
    return root


@pytest.fixture
def root(original: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage: the files are links to the original ones."""
    for file in original.glob("*/*"):
        (tmp_path / file.parent.name).mkdir(exist_ok=True)
        os.link(file, tmp_path / file.parent.name / file.name)
    return tmp_path


# What is right


@pytest.mark.parametrize("severity", [1, 2, 3, 4, 5])
def test_severities_are_blocks_of_ten_thousand_rows(original: Path, severity: int) -> None:
    data = cifar_c.corrupted(original, corruption="fog", severity=severity)
    seed, first = list(NAMES).index("fog"), 10_000 * (severity - 1)
    got = data.fetch(torch.tensor([9_999, 0]))
    expected = [noise(seed, first + 9_999), noise(seed, first)]
    assert got.shape == (2, 3, 32, 32)
    assert got.is_contiguous()
    assert np.array_equal(got.permute(0, 2, 3, 1), expected)


def test_subsets_keep_rows_ids_and_labels(original: Path) -> None:
    data = cifar_c.corrupted(original, corruption="snow", severity=3).subset(torch.tensor([7, 5]))
    images, labels = data.batch(torch.tensor([1]))
    expected = torch.from_numpy(noise(list(NAMES).index("snow"), 20_005)).permute(2, 0, 1) / 255
    assert torch.equal(images[0], expected)
    assert data.ids.tolist() == [7, 5]
    assert labels.tolist() == [files.labels(10)[5]]


def test_clean_and_corrupted_images_are_paired(original: Path) -> None:
    clean = cifar10.test(original)
    data = cifar_c.corrupted(original, corruption="contrast", severity=2)
    assert torch.equal(clean.ids, data.ids)
    assert torch.equal(clean.labels, data.labels)
    assert torch.equal(clean.sample(50).ids, data.sample(50).ids)


def test_files_are_mapped_and_not_read(original: Path) -> None:
    assert isinstance(cifar_c.open_images(original / "CIFAR-10-C", "fog"), np.memmap)


def test_a_whole_copy_verifies(original: Path) -> None:
    findings = verify(original)
    assert [finding for finding in findings if not finding.ok] == []
    told = "\n".join(finding.what for finding in findings)
    assert "19 of 19 corruptions, 10,000 images a severity" in told
    assert "those of the clean test images, in the same order" in told


def test_the_root_may_be_the_folder_itself(original: Path) -> None:
    folder = original / "CIFAR-10-C"
    assert len(cifar_c.corrupted(folder, corruption="fog", severity=1)) == 10_000
    assert all(finding.ok for finding in verify(folder))


def test_the_suite_reads_both(original: Path) -> None:
    suite = registry.load(registry.SUITES, "cifar10-c")
    for root in (original, original / "CIFAR-10-C"):
        shifts = {shift.name: shift.build(root) for shift in suite.shifts if shift.severity in (None, 5)}
        assert len(shifts) == 20
        assert {len(data) for data in shifts.values()} == {10_000}
        seed = list(NAMES).index("jpeg_compression")
        last = shifts["jpeg_compression/5"].fetch(torch.tensor([9_999]))[0]
        assert np.array_equal(last.permute(1, 2, 0), noise(seed, 49_999))
        assert (len(suite.train(root)), len(suite.val(root))) == (45, 5)
        assert all(finding.ok for finding in suite.verify(root))


# What is wrong

FOG, LABELS = "CIFAR-10-C/fog.npy", "CIFAR-10-C/labels.npy"


def saved(name: str, array: np.ndarray) -> Callable[[Path], None]:
    def fault(root: Path) -> None:
        (root / name).unlink()  # a link: writing into it would change the original
        np.save(root / name, array)

    return fault


def written(name: str, content: bytes) -> Callable[[Path], None]:
    def fault(root: Path) -> None:
        (root / name).unlink()
        (root / name).write_bytes(content)

    return fault


def cut(root: Path) -> None:
    """The download stopped within the third severity."""
    (root / FOG).unlink()
    sparse(root / FOG)
    os.truncate(root / FOG, 70_000_000)


def relabelled(rows: slice | int, value: int) -> Callable[[Path], None]:
    labels = np.tile(files.labels(10_000), 5)
    labels.reshape(5, -1)[:, rows] = value
    return saved(LABELS, labels)


ONE_OTHER = np.tile(files.labels(10_000), 5)
ONE_OTHER[30_000] += 1

FAULTS = {
    "missing": (lambda root: (root / FOG).unlink(), r"fog\.npy: expected this file, got none; unpack"),
    "small": (
        saved(FOG, np.ones((500, 32, 32, 3), np.uint8)),
        r"fog\.npy: expected uint8 of shape \(50000, 32, 32, 3\), 10000 rows a severity, "
        r"got uint8 of shape \(500, 32, 32, 3\); use the whole",
    ),
    "one severity": (saved(FOG, np.ones((10_000, 32, 32, 3), np.uint8)), r"got uint8 of shape \(10000,"),
    "floats": (saved(FOG, np.ones((5, 32, 32, 3), np.float32)), "expected uint8 .* got float32"),
    "channels first": (saved(FOG, np.ones((5, 3, 32, 32), np.uint8)), r"got uint8 of shape \(5, 3, 32"),
    "cut": (cut, r"fog\.npy: expected a whole \.npy file, got .*; download it again"),
    "empty": (written(FOG, b""), r"fog\.npy: expected a whole \.npy file"),
    "no npy": (written(FOG, b"<html>404</html>"), r"fog\.npy: expected a whole \.npy file"),
    "objects": (saved(FOG, np.array([{"a": 1}], object)), r"fog\.npy: expected a whole \.npy file"),
    "no labels": (lambda root: (root / LABELS).unlink(), r"labels\.npy: expected this file, got none"),
    "few labels": (
        saved(LABELS, files.labels(10_000)),
        r"labels\.npy: expected integers of shape \(50000,\), got int64 of shape \(10000,\)",
    ),
    "float labels": (saved(LABELS, np.zeros(50_000)), "expected integers .* got float64"),
    "labels by severity": (saved(LABELS, ONE_OTHER), "expected the same labels for each severity"),
    "CIFAR-100-C": (relabelled(3, 99), r"from 0 to 9, got 0 to 99; check .* not CIFAR-100-C"),
    "another order": (
        relabelled(4_321, (files.labels(10_000)[4_321] + 1) % 10),
        "clean test images in the same order, got 1 for 0 in row 4321; use a copy of CIFAR-10",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_is_told_by_loading_and_by_verify(root: Path, name: str) -> None:
    fault, message = FAULTS[name]
    fault(root)
    with pytest.raises(DataError, match=message):
        cifar_c.corrupted(root, corruption="fog", severity=1)
    bad = [finding for finding in verify(root) if not finding.ok]
    assert len(bad) == 1
    assert bad[0].mend
    with pytest.raises(DataError, match=message):
        raise DataError(f"{bad[0].what}; {bad[0].mend}")


def test_a_file_that_ends_in_zeros_is_found(root: Path) -> None:
    (root / FOG).unlink()
    array = np.lib.format.open_memmap(root / FOG, "w+", np.uint8, (50_000, 32, 32, 3))
    array[ENDS[:5]] = 7
    array.flush()
    bad = [finding for finding in verify(root) if not finding.ok]
    assert len(bad) == 1
    assert "expected images at severity 3, got zeros in row 29999" in bad[0].what


def test_all_files_missing_but_one(root: Path) -> None:
    for name in NAMES:
        (root / f"CIFAR-10-C/{name}.npy").unlink()
    bad = [finding for finding in verify(root) if not finding.ok]
    assert len(bad) == 19


def test_without_the_folder(root: Path) -> None:
    shutil.rmtree(root / "CIFAR-10-C")
    with pytest.raises(DataError, match=r"expected a folder CIFAR-10-C .* got cifar-10-batches-py/; unpack"):
        cifar_c.find(root)
    (root / "CIFAR-10-C.tar").write_bytes(b"")
    with pytest.raises(DataError, match=r"; unpack .*/CIFAR-10-C\.tar$"):
        cifar_c.find(root)
    assert [finding.ok for finding in verify(root)] == [True] * 7 + [False]


def test_without_the_clean_images(root: Path) -> None:
    shutil.rmtree(root / "cifar-10-batches-py")
    with pytest.raises(DataError, match="expected the test images of CIFAR-10"):
        cifar_c.corrupted(root, corruption="fog", severity=1)
    assert sum(not finding.ok for finding in verify(root)) == 2


@pytest.mark.parametrize("root", [None, Path("nowhere")])
def test_without_a_data_root(root: Path | None) -> None:
    (finding,) = verify(root)
    assert not finding.ok
    assert finding.mend
    with pytest.raises(DataError, match="data-root"):
        cifar_c.corrupted(root, corruption="fog", severity=1)


def test_a_copy_in_another_order_is_refused(shared: Path, original: Path, tmp_path: Path) -> None:
    """Real CIFAR-10 images, but shuffled: pairing them with files of the official order would be wrong."""
    (tmp_path / "cifar10").symlink_to(shared / "data/cifar10")
    (tmp_path / "CIFAR-10-C").symlink_to(original / "CIFAR-10-C")
    with pytest.raises(DataError, match="in the same order"):
        cifar_c.corrupted(tmp_path, corruption="fog", severity=1)
