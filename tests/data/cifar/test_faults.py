"""What is said about every way in which a copy of CIFAR-10 or CIFAR-100 can be wrong."""

from pathlib import Path

import pyarrow as pa
import pytest

from flatqat.data.cifar.load import load
from flatqat.data.cifar.sets import CIFAR10, CIFAR100, Cifar
from flatqat.data.cifar.verify import verify
from flatqat.errors import DataError
from tests.helpers import cifar_files as files
from tests.helpers.cifar_faults import HUNDRED, NOISE, TEN, Faults, assert_told, whole, without
from tests.helpers.cifar_files import SMALL

pytestmark = pytest.mark.usefixtures("small_counts")

FAULTS = {(faults.cifar, name): fault for faults in (TEN, HUNDRED) for name, fault in faults.all().items()}


@pytest.mark.parametrize(
    ("cifar", "name"), [pytest.param(*key, id=f"{key[0].name}, {key[1]}") for key in FAULTS]
)
def test_every_fault_is_told_by_loading_and_by_verify(
    tmp_path: Path, cifar: Cifar, name: str, capfd: pytest.CaptureFixture
) -> None:
    layout, fault, message = FAULTS[cifar, name]
    whole(cifar, layout)(tmp_path)
    fault(tmp_path)
    assert_told(cifar, tmp_path, message)
    assert "loaded" not in capfd.readouterr().out


@pytest.mark.parametrize(
    ("root", "message"),
    [
        (None, "no folder was given; pass --data-root"),
        (Path("nowhere/at/all"), "--data-root nowhere/at/all: expected a folder .* got none"),
        (Path(__file__), "got a file"),
    ],
    ids=["none", "nowhere", "file"],
)
def test_without_a_data_root(cifar: Cifar, root: Path | None, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load(cifar, "train", root)
    (finding,) = verify(cifar, root)
    assert not finding.ok
    assert finding.fix


@pytest.mark.parametrize(
    ("cifar", "places", "archive"),
    [
        (
            CIFAR10,
            r"test images of CIFAR-10 as cifar10/test-\*\.parquet, cifar-10-batches-py/ "
            r"or cifar10/test/<class>/\*\.png",
            "cifar-10-python.tar.gz",
        ),
        (
            CIFAR100,
            r"test images of CIFAR-100 as cifar100/test-\*\.parquet, cifar-100-python/ "
            r"or cifar100/test/<class>/\*\.png",
            "cifar-100-python.tar.gz",
        ),
    ],
)
def test_a_folder_without_the_set_tells_what_is_there(
    tmp_path: Path, cifar: Cifar, places: str, archive: str
) -> None:
    for name in "abcdefghij":
        (tmp_path / name).mkdir()
    with pytest.raises(DataError, match=rf"expected the {places}, got a/, b/, .*, h/ and 2 more; point"):
        load(cifar, "test", tmp_path)
    (tmp_path / archive).write_bytes(b"")
    with pytest.raises(DataError, match=f"; unpack .*{archive}$"):
        load(cifar, "test", tmp_path)


def test_an_empty_folder_is_called_so(tmp_path: Path, cifar: Cifar) -> None:
    assert [finding.ok for finding in verify(cifar, tmp_path)] == [False, False]
    with pytest.raises(DataError, match="got an empty folder"):
        load(cifar, "test", tmp_path)


@pytest.mark.parametrize("split", ["train", "test"])
def test_folders_of_other_things_are_not_taken_for_classes(tmp_path: Path, split: str) -> None:
    """A data root may have a folder `test` of its own."""
    (tmp_path / split / "other").mkdir(parents=True)
    with pytest.raises(DataError, match=f"expected the {split} images of CIFAR-100 as"):
        load(CIFAR100, "test" if split == "test" else "val", tmp_path)


def test_a_missing_batch_is_named(tmp_path: Path) -> None:
    whole(CIFAR10, "batches")(tmp_path)
    without("cifar-10-batches-py/data_batch_4")(tmp_path)
    with pytest.raises(DataError, match="data_batch_4: expected this batch, got no such file; unpack"):
        load(CIFAR10, "train", tmp_path)
    assert len(load(CIFAR10, "test", tmp_path)) == 200


def test_a_damaged_image_in_the_middle_is_named_with_its_row(tmp_path: Path, cifar: Cifar) -> None:
    files.parquet(cifar, tmp_path, SMALL, shards=3)
    shard = tmp_path / "test-00001-of-00003.parquet"
    table = pa.parquet.read_table(shard)
    content = [{"bytes": files.png(NOISE)} for _ in range(table.num_rows)]
    content[12] = {"bytes": b"nothing"}
    pa.parquet.write_table(table.set_column(0, "img", pa.array(content)), shard)
    with pytest.raises(DataError, match=r"test-00001-of-00003\.parquet, row 12: .* 7 bytes .*\(no image\)"):
        load(cifar, "test", tmp_path)


@pytest.mark.parametrize("faults", [TEN, HUNDRED], ids=["CIFAR-10", "CIFAR-100"])
def test_shuffled_classes_are_found(tmp_path: Path, faults: Faults) -> None:
    faults.labeled(r0=4)(tmp_path)
    (bad,) = [finding for finding in verify(faults.cifar, tmp_path) if not finding.ok]
    each = 200 // len(faults.cifar.classes)
    told = f"expected {each} test images of each class, got {each - 1} of class 3 ({faults.name})"
    assert told in bad.what


@pytest.mark.parametrize("faults", [TEN, HUNDRED], ids=["CIFAR-10", "CIFAR-100"])
def test_test_images_among_the_training_images_are_found(tmp_path: Path, faults: Faults) -> None:
    leaked = [{"bytes": files.png(pixels)} for pixels in files.images("train", 200)]
    faults.rewrite(img=pa.array(leaked))(tmp_path)
    (bad,) = [finding for finding in verify(faults.cifar, tmp_path) if not finding.ok]
    assert "expected test images that are not in" in bad.what
    assert "got 200 that are" in bad.what
