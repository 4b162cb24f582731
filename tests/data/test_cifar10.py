"""CIFAR-10 out of each layout, and what is said about every way in which a copy can be wrong."""

import hashlib
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from flatqat.data import cifar10
from flatqat.data.cifar10_verify import verify
from flatqat.errors import DataError

from . import cifar10_files as files

SMALL = {"train": 200, "test": 100}

LAYOUTS: dict[str, Callable[[Path], None]] = {
    "parquet": lambda root: files.parquet(root / "cifar10", SMALL),
    "parquet, no folder": lambda root: files.parquet(root, SMALL),
    "parquet, plain_text": lambda root: files.parquet(root / "cifar10/plain_text", SMALL),
    "parquet, 3 shards": lambda root: files.parquet(root / "cifar10", SMALL, shards=3),
    "batches": lambda root: files.batches(root / "cifar-10-batches-py", SMALL),
    "batches, cifar10": lambda root: files.batches(root / "cifar10/cifar-10-batches-py", SMALL),
    "batches, the folder itself": lambda root: files.batches(root, SMALL),
    "batches, Python 3": lambda root: files.batches(root / "cifar-10-batches-py", SMALL, python=3),
    "folders": lambda root: files.folders(root / "cifar10", SMALL),
    "folders, no folder": lambda root: files.folders(root, SMALL),
}


@pytest.fixture(autouse=True)
def small_counts(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Files of 200 and 100 images are whole, except beside the real data."""
    if "shared" not in request.fixturenames:
        for split, count in SMALL.items():
            monkeypatch.setitem(cifar10.COUNTS, split, count)


# What is right


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_images(tmp_path: Path, layout: str) -> None:
    LAYOUTS[layout](tmp_path)
    test, train, val = cifar10.test(tmp_path), cifar10.train(tmp_path), cifar10.val(tmp_path)
    assert (len(train), len(val), len(test)) == (180, 20, 100)
    for split, data in (("test", test), ("train", train), ("train", val)):
        expected = files.images(split, SMALL[split]).transpose(0, 3, 1, 2)[data.ids]
        assert np.array_equal(data.fetch(torch.arange(len(data))), expected)
        assert np.array_equal(data.labels, files.labels(SMALL[split])[data.ids])
    assert torch.equal(test.ids, torch.arange(100))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_verifies(tmp_path: Path, layout: str) -> None:
    LAYOUTS[layout](tmp_path)
    assert [finding for finding in verify(tmp_path) if not finding.ok] == []


def test_val_and_train_are_disjoint_parts_of_the_training_file(tmp_path: Path) -> None:
    LAYOUTS["batches"](tmp_path)
    train, val = cifar10.train(tmp_path).ids, cifar10.val(tmp_path).ids
    assert torch.equal(torch.cat([train, val]).sort().values, torch.arange(200))
    order = torch.randperm(200, generator=torch.Generator().manual_seed(0))
    assert torch.equal(torch.cat([train, val]), order)


def test_names_numbered_within_classes_are_ordered_by_class_and_number(tmp_path: Path) -> None:
    files.folders(tmp_path, SMALL, numbered="within", form="PNG")
    data = cifar10.test(tmp_path)
    order = np.argsort(files.labels(100), kind="stable")  # 0.png, 1.png, .. 9.png of each class
    assert np.array_equal(data.labels, np.repeat(np.arange(10), 10))
    images = data.fetch(torch.arange(100)).permute(0, 2, 3, 1)
    assert np.array_equal(images, files.images("test", 100)[order])


def test_jpeg_folders_load_too(tmp_path: Path) -> None:
    files.folders(tmp_path, SMALL, form="JPEG")
    assert len(cifar10.test(tmp_path)) == 100


def test_parquet_stands_before_batches_and_folders(tmp_path: Path) -> None:
    LAYOUTS["folders"](tmp_path)
    LAYOUTS["batches, cifar10"](tmp_path)
    assert "batches" in cifar10.open_split(tmp_path, "test").where
    LAYOUTS["parquet, no folder"](tmp_path)
    assert "parquet" in cifar10.open_split(tmp_path, "test").where


def test_each_file_is_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    LAYOUTS["parquet"](tmp_path)
    first = cifar10.test(tmp_path)
    monkeypatch.chdir(tmp_path.parent)
    shutil.rmtree(tmp_path / "cifar10")
    assert cifar10.test(Path(tmp_path.name)) is first


# What is wrong


@pytest.mark.parametrize(
    ("root", "message"),
    [
        (None, "no folder was given; pass --data-root"),
        (Path("nowhere/at/all"), "--data-root nowhere/at/all: expected a folder .* got nothing there"),
        (Path(__file__), "got a file"),
    ],
)
def test_without_a_data_root(root: Path | None, message: str) -> None:
    with pytest.raises(DataError, match=message):
        cifar10.train(root)
    (finding,) = verify(root)
    assert not finding.ok
    assert finding.mend


def test_a_folder_without_cifar10_tells_what_is_there(tmp_path: Path) -> None:
    for name in "abcdefghij":
        (tmp_path / name).mkdir()
    with pytest.raises(DataError, match=r"expected the test images .* got a/, b/, .*, h/, 2 more; point"):
        cifar10.test(tmp_path)
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(b"")
    with pytest.raises(DataError, match=r"; unpack .*cifar-10-python\.tar\.gz"):
        cifar10.test(tmp_path)


def test_an_empty_folder_is_called_so(tmp_path: Path) -> None:
    assert [finding.ok for finding in verify(tmp_path)] == [False, False]
    with pytest.raises(DataError, match="got an empty folder"):
        cifar10.test(tmp_path)


PARQUET = "cifar10/test-00000-of-00001.parquet"


def rewrite(**columns: object) -> Callable[[Path], None]:
    return lambda root: files.parquet(root / "cifar10", SMALL, **columns)


def labelled(**at: int | None) -> Callable[[Path], None]:
    """Test labels with other values in some rows: `labelled(r3=10)`."""
    values: list[int | None] = [int(label) for label in files.labels(100)]
    for row, value in at.items():
        values[int(row[1:])] = value
    return rewrite(label=pa.array(values, pa.int64()))


def pictured(row: int, content: bytes | None) -> Callable[[Path], None]:
    """Test images with other bytes in one row."""
    content_of = [{"bytes": files.png(pixels)} for pixels in files.images("test", 100)]
    content_of[row] = {"bytes": content}
    return rewrite(img=pa.array(content_of))


def written(name: str, content: bytes) -> Callable[[Path], None]:
    def fault(root: Path) -> None:
        (root / name).unlink(missing_ok=True)
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)

    return fault


def rebatched(change: Callable[[dict[bytes, object]], object]) -> Callable[[Path], None]:
    """A test_batch whose dict was changed before pickling."""

    def fault(root: Path) -> None:
        batch = files.batch("test", SMALL)
        batch = change(batch) or batch
        (root / "cifar-10-batches-py/test_batch").write_bytes(pickle.dumps(batch, 2))

    return fault


def cut(name: str, size: int) -> Callable[[Path], None]:
    return lambda root: (root / name).write_bytes((root / name).read_bytes()[:size])  # type: ignore[return-value]


def without(name: str) -> Callable[[Path], None]:
    return lambda root: shutil.rmtree(root / name) if (root / name).is_dir() else (root / name).unlink()


class Evil:
    """A pickle of it calls print on loading; a worse one would call anything else."""

    def __reduce__(self):
        return print, ("loaded",)


NOISE = files.images("test", 1)[0]
GREY = np.zeros((16, 24, 3), np.uint8)
BATCH = "cifar-10-batches-py/test_batch"
CAT = "cifar10/test/cat"

FAULTS = {
    # layout, fault, message of loading the test file
    "garbage": ("parquet", written(PARQUET, b"<html>"), "expected a parquet file .* download it again"),
    "git lfs": (
        "parquet",
        written(PARQUET, b"version https://git-lfs.github.com/spec/v1\noid"),
        "Git LFS pointer; run git lfs pull",
    ),
    "cut parquet": ("parquet", cut(PARQUET, 3000), "expected a parquet file"),
    "CIFAR-100 columns": (
        "parquet",
        rewrite(label=None, fine_label=pa.array(files.labels(100))),
        "expected the columns 'img' and 'label', got img, fine_label; this is another",
    ),
    "no struct": ("parquet", rewrite(img=pa.array([b"x"] * 100)), "expected a parquet file of images"),
    "text labels": ("parquet", rewrite(label=pa.array(["cat"] * 100)), "expected a parquet file of images"),
    "no label": ("parquet", labelled(r7=None), "row 7: expected a value in 'label', got none"),
    "no image": ("parquet", pictured(8, None), "row 8: expected a value in 'img', got none"),
    "label 10": ("parquet", labelled(r3=10), "row 3: expected labels from 0 to 9, got 10; .*CIFAR-100"),
    "label -1": ("parquet", labelled(r99=-1), "row 99: expected labels from 0 to 9, got -1"),
    "damaged image": ("parquet", pictured(0, b"\xff\xd8\xff\xe0 cut"), "row 0: expected a PNG or JPEG"),
    "cut image": ("parquet", pictured(99, files.png(NOISE)[:500]), "row 99: expected a PNG"),
    "empty image": ("parquet", pictured(0, b""), "got 0 bytes that do not decode"),
    "other size": ("parquet", pictured(0, files.png(GREY)), "row 0: expected an image of 32x32, got 24x16"),
    "few rows": (
        "parquet",
        lambda root: files.parquet(root / "cifar10", {"test": 60}),
        "expected 100 test images, got 60; complete the copy",
    ),
    "cut pickle": ("batches", cut(BATCH, 5000), "test_batch: expected a pickle of arrays"),
    "evil pickle": ("batches", written(BATCH, pickle.dumps(Evil(), 2)), r"print, which is refused because"),
    "list in a pickle": ("batches", rebatched(lambda batch: [batch]), "expected 'data' .* got no array"),
    "floats in a pickle": (
        "batches",
        rebatched(lambda batch: batch.update({b"data": np.zeros((100, 3072), np.float32)})),
        "an array of 'f4' where bytes",
    ),
    "pictures in a pickle": (
        "batches",
        rebatched(lambda batch: batch.update({b"data": np.zeros((100, 32, 32, 3), np.uint8)})),
        r"expected 'data' of shape \(n, 3072\), got shape \(100, 32, 32, 3\)",
    ),
    "few labels": (
        "batches",
        rebatched(lambda batch: batch.update({b"labels": [0] * 99})),
        "expected 'labels' with 100 integers",
    ),
    "fine labels": (
        "batches",
        rebatched(lambda batch: batch.update({b"fine_labels": batch.pop(b"labels")})),
        "expected 'labels' with 100 integers",
    ),
    "no class": ("folders", without(CAT), r"got none besides and cat missing; rename"),
    "other class": ("folders", written("cifar10/test/car/1.png", b""), "got car besides and none missing"),
    "empty class": (
        "folders",
        lambda root: (without(CAT)(root), (root / CAT).mkdir()),
        r"cat: expected \.png or \.jpg images, got none",
    ),
    "lost image": ("folders", without(f"{CAT}/0_cat.png"), "expected 100 test images, got 99"),
    "no image in a file": ("folders", written(f"{CAT}/0_cat.png", b"GIF"), "0_cat.png: expected a PNG"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_is_told_by_loading_and_by_verify(
    tmp_path: Path, name: str, capfd: pytest.CaptureFixture
) -> None:
    layout, fault, message = FAULTS[name]
    LAYOUTS[layout](tmp_path)
    fault(tmp_path)
    with pytest.raises(DataError, match=message):
        cifar10.test(tmp_path)
    bad = [finding for finding in verify(tmp_path) if not finding.ok]
    assert len(bad) == 1
    assert all(finding.mend for finding in bad)
    with pytest.raises(DataError, match=message):
        raise DataError(f"{bad[0].what}; {bad[0].mend}")
    assert "loaded" not in capfd.readouterr().out


def test_a_missing_batch_is_named(tmp_path: Path) -> None:
    LAYOUTS["batches"](tmp_path)
    without("cifar-10-batches-py/data_batch_4")(tmp_path)
    with pytest.raises(DataError, match="data_batch_4: expected this batch, got no such file; unpack"):
        cifar10.train(tmp_path)
    assert len(cifar10.test(tmp_path)) == 100


def test_a_damaged_image_in_the_middle_is_named_with_its_row(tmp_path: Path) -> None:
    files.parquet(tmp_path, SMALL, shards=3)
    content = [{"bytes": files.png(files.images("test", 1)[0])} for _ in range(33)]
    content[12] = {"bytes": b"nothing"}
    table = pa.table({"img": pa.array(content), "label": files.labels(100)[34:67]})
    pa.parquet.write_table(table, tmp_path / "test-00001-of-00003.parquet")
    with pytest.raises(DataError, match=r"test-00001-of-00003\.parquet, row 12: .* 7 bytes .*\(no image\)"):
        cifar10.test(tmp_path)


def test_shuffled_classes_are_found(tmp_path: Path) -> None:
    labelled(r0=4)(tmp_path)
    (bad,) = [finding for finding in verify(tmp_path) if not finding.ok]
    assert "expected 10 test images of each class, got 9 of class 3 (cat)" in bad.what


def test_test_images_among_the_training_images_are_found(tmp_path: Path) -> None:
    leaked = [{"bytes": files.png(pixels)} for pixels in files.images("train", 100)]
    rewrite(img=pa.array(leaked))(tmp_path)
    (bad,) = [finding for finding in verify(tmp_path) if not finding.ok]
    assert "expected test images that are not in" in bad.what
    assert "got 100 that are" in bad.what


# The real images


def test_real_images(shared: Path) -> None:
    root = shared / "data"
    assert all(finding.ok for finding in verify(root))
    test, train, val = cifar10.test(root), cifar10.train(root), cifar10.val(root)
    assert (len(train), len(val), len(test)) == (45_000, 5_000, 10_000)
    assert torch.equal(torch.cat([train.ids, val.ids]).sort().values, torch.arange(50_000))
    assert test.labels.bincount().tolist() == [1000] * 10
    assert torch.cat([train.labels, val.labels]).bincount().tolist() == [5000] * 10
    images, labels = test.batch(torch.arange(100))
    assert images.shape == (100, 3, 32, 32)
    assert 0.4 < images.mean() < 0.55  # CIFAR-10's mean is 0.47
    assert labels[0] == 9  # truck/0770.jpg


def test_the_split_stays_as_it_is(shared: Path) -> None:
    """Another choice of validation images would be another suite version."""
    val = cifar10.val(shared / "data")
    assert hashlib.sha256(val.ids.numpy().tobytes()).hexdigest()[:16] == "8beec0accb6d468f"
