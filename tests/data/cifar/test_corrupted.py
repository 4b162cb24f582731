"""CIFAR-10-C and CIFAR-100-C: which row is which, and that corrupted and clean images are paired."""

from pathlib import Path

import numpy as np
import pytest
import torch

from flatqat import registry
from flatqat.data.cifar import corrupted
from flatqat.data.cifar.load import load
from flatqat.data.cifar.sets import CIFAR10, Cifar
from flatqat.data.cifar.verify_corrupted import verify_corrupted
from flatqat.data.corruptions.names import NAMES
from flatqat.errors import DataError
from tests.helpers import cifar_files as files
from tests.helpers.cifar_c_files import FOLDERS, noise

pytestmark = pytest.mark.usefixtures("few_training_images")


@pytest.mark.parametrize("severity", [1, 2, 3, 4, 5])
def test_severities_are_blocks_of_ten_thousand_rows(cifar: Cifar, original: Path, severity: int) -> None:
    data = corrupted.corrupted(cifar, original, corruption="fog", severity=severity)
    seed, first = list(NAMES).index("fog"), 10_000 * (severity - 1)
    got = data.fetch(torch.tensor([9_999, 0]))
    expected = [noise(seed, first + 9_999), noise(seed, first)]
    assert got.shape == (2, 3, 32, 32)
    assert got.is_contiguous()
    assert np.array_equal(got.permute(0, 2, 3, 1), expected)


def test_subsets_keep_rows_ids_and_labels(cifar: Cifar, original: Path) -> None:
    data = corrupted.corrupted(cifar, original, corruption="snow", severity=3).subset(torch.tensor([7, 5]))
    images, labels = data.batch(torch.tensor([1]))
    expected = torch.from_numpy(noise(list(NAMES).index("snow"), 20_005)).permute(2, 0, 1) / 255
    assert torch.equal(images[0], expected)
    assert data.ids.tolist() == [7, 5]
    assert labels.tolist() == [files.labels(cifar, 10)[5]]


def test_clean_and_corrupted_images_are_paired(cifar: Cifar, original: Path) -> None:
    clean = load(cifar, "test", original)
    data = corrupted.corrupted(cifar, original, corruption="contrast", severity=2)
    assert torch.equal(clean.ids, data.ids)
    assert torch.equal(clean.labels, data.labels)
    assert torch.equal(clean.sample(50).ids, data.sample(50).ids)


def test_files_are_mapped_and_not_read(cifar: Cifar, original: Path) -> None:
    assert isinstance(corrupted.open_images(cifar, original / FOLDERS[cifar], "fog"), np.memmap)


def test_a_whole_copy_verifies(cifar: Cifar, original: Path) -> None:
    findings = verify_corrupted(cifar, original)
    assert [finding for finding in findings if not finding.ok] == []
    told = "\n".join(finding.what for finding in findings)
    name = FOLDERS[cifar]
    assert f"{name}: 19 of 19 corruptions, 10,000 images for each severity" in told
    assert f"{name} labels: 10,000 for each of 5 severities, 0 to {len(cifar.classes) - 1}" in told
    assert f"{name} labels: those of the clean test images, in the same order" in told


@pytest.mark.parametrize("name", ["lower case", "slug"])
def test_the_folder_may_be_spelled_otherwise(cifar: Cifar, root: Path, folder: Path, name: str) -> None:
    folder.rename(root / {"lower case": FOLDERS[cifar].lower(), "slug": f"{cifar.slug}-c"}[name])
    assert len(corrupted.corrupted(cifar, root, corruption="fog", severity=1)) == 10_000


def test_the_root_may_be_the_folder_itself(cifar: Cifar, original: Path) -> None:
    folder = original / FOLDERS[cifar]
    assert len(corrupted.corrupted(cifar, folder, corruption="fog", severity=1)) == 10_000
    assert all(finding.ok for finding in verify_corrupted(cifar, folder))


def test_the_suite_reads_both(cifar: Cifar, original: Path) -> None:
    suite = registry.load(registry.SUITES, f"{cifar.slug}-c")
    for root in (original, original / FOLDERS[cifar]):
        shifts = {shift.name: shift.build(root) for shift in suite.shifts if shift.severity in (None, 5)}
        assert len(shifts) == 20
        assert {len(data) for data in shifts.values()} == {10_000}
        seed = list(NAMES).index("jpeg_compression")
        last = shifts["jpeg_compression/5"].fetch(torch.tensor([9_999]))[0]
        assert np.array_equal(last.permute(1, 2, 0), noise(seed, 49_999))
        assert np.array_equal(shifts["id"].labels, files.labels(cifar, 10_000))
        assert (len(suite.train(root)), len(suite.val(root))) == (180, 20)
        assert all(finding.ok for finding in suite.verify(root))


@pytest.mark.parametrize("cifar", [CIFAR10], indirect=True)
def test_a_copy_in_another_order_is_refused(
    cifar: Cifar, shared: Path, original: Path, tmp_path: Path
) -> None:
    """Real CIFAR-10 images, but shuffled: pairing them with files of the official order would be wrong."""
    (tmp_path / "cifar10").symlink_to(shared / "data/cifar10")
    (tmp_path / "CIFAR-10-C").symlink_to(original / "CIFAR-10-C")
    with pytest.raises(DataError, match="in the same order"):
        corrupted.corrupted(cifar, tmp_path, corruption="fog", severity=1)
