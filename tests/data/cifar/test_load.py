"""CIFAR-10 and CIFAR-100 out of each layout: the same images in the same order, split in the same way."""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from flatqat import registry
from flatqat.data.cifar.load import load, open_split
from flatqat.data.cifar.sets import CIFAR10, CIFAR100, Cifar
from flatqat.data.cifar.verify import verify
from flatqat.data.corruptions.apply import corrupt
from tests.helpers import cifar_files as files
from tests.helpers.cifar_files import SMALL

pytestmark = pytest.mark.usefixtures("small_counts")


Writer = Callable[[Path], None]


def layouts(cifar: Cifar, own: str, archive: str, config: str) -> dict[str, Writer]:
    """Every place and form in which a set may lie; `own` is its folder in the data root."""
    return {
        "parquet": lambda root: files.parquet(cifar, root / own, SMALL),
        "parquet, no folder": lambda root: files.parquet(cifar, root, SMALL),
        "parquet, config": lambda root: files.parquet(cifar, root / own / config, SMALL),
        "parquet, 3 shards": lambda root: files.parquet(cifar, root / own, SMALL, shards=3),
        "batches": lambda root: files.batches(cifar, root / archive, SMALL),
        "batches, own folder": lambda root: files.batches(cifar, root / own / archive, SMALL),
        "batches, the folder itself": lambda root: files.batches(cifar, root, SMALL),
        "batches, Python 3": lambda root: files.batches(cifar, root / archive, SMALL, python=3),
        "folders": lambda root: files.folders(cifar, root / own, SMALL),
        "folders, no folder": lambda root: files.folders(cifar, root, SMALL),
    }


LAYOUTS = {
    CIFAR10: layouts(CIFAR10, "cifar10", "cifar-10-batches-py", "plain_text"),
    CIFAR100: layouts(CIFAR100, "cifar100", "cifar-100-python", "cifar100"),
}
EACH_LAYOUT = pytest.mark.parametrize("layout", LAYOUTS[CIFAR10])


@EACH_LAYOUT
def test_every_layout_gives_the_same_images(tmp_path: Path, cifar: Cifar, layout: str) -> None:
    LAYOUTS[cifar][layout](tmp_path)
    test, train, val = (load(cifar, part, tmp_path) for part in ("test", "train", "val"))
    assert (len(train), len(val), len(test)) == (180, 20, 200)
    for split, data in (("test", test), ("train", train), ("train", val)):
        expected = files.images(split, SMALL[split]).transpose(0, 3, 1, 2)[data.ids]
        assert np.array_equal(data.fetch(torch.arange(len(data))), expected)
        assert np.array_equal(data.labels, files.labels(cifar, SMALL[split])[data.ids])
    assert torch.equal(test.ids, torch.arange(200))


@EACH_LAYOUT
def test_every_layout_verifies(tmp_path: Path, cifar: Cifar, layout: str) -> None:
    LAYOUTS[cifar][layout](tmp_path)
    findings = verify(cifar, tmp_path)
    assert [finding for finding in findings if not finding.ok] == []
    assert all(cifar.name in finding.what for finding in findings)


def test_val_and_train_are_disjoint_parts_of_the_training_file(tmp_path: Path, cifar: Cifar) -> None:
    LAYOUTS[cifar]["batches"](tmp_path)
    train, val = load(cifar, "train", tmp_path).ids, load(cifar, "val", tmp_path).ids
    assert torch.equal(torch.cat([train, val]).sort().values, torch.arange(200))
    order = torch.randperm(200, generator=torch.Generator().manual_seed(0))
    assert torch.equal(torch.cat([train, val]), order)


def test_names_numbered_within_classes_are_ordered_by_class_and_number(tmp_path: Path, cifar: Cifar) -> None:
    files.folders(cifar, tmp_path, SMALL, numbered="within", form="PNG")
    data, classes = load(cifar, "test", tmp_path), len(cifar.classes)
    order = np.argsort(files.labels(cifar, 200), kind="stable")  # 0.png, 1.png, .. 10.png of each class
    assert np.array_equal(data.labels, np.repeat(np.arange(classes), 200 // classes))
    images = data.fetch(torch.arange(200)).permute(0, 2, 3, 1)
    assert np.array_equal(images, files.images("test", 200)[order])


def test_jpeg_folders_load_too(tmp_path: Path, cifar: Cifar) -> None:
    files.folders(cifar, tmp_path, SMALL, form="JPEG")
    assert len(load(cifar, "test", tmp_path)) == 200


def test_parquet_stands_before_batches_and_folders(tmp_path: Path, cifar: Cifar) -> None:
    LAYOUTS[cifar]["folders"](tmp_path)
    LAYOUTS[cifar]["batches, own folder"](tmp_path)
    assert cifar.unpacked in open_split(cifar, tmp_path, "test").source
    LAYOUTS[cifar]["parquet, no folder"](tmp_path)
    assert "parquet" in open_split(cifar, tmp_path, "test").source


def test_each_file_is_decoded_once(tmp_path: Path, cifar: Cifar, monkeypatch: pytest.MonkeyPatch) -> None:
    LAYOUTS[cifar]["parquet"](tmp_path)
    first = load(cifar, "test", tmp_path)
    monkeypatch.chdir(tmp_path.parent)
    shutil.rmtree(tmp_path / cifar.slug)
    assert load(cifar, "test", Path(tmp_path.name)) is first


@pytest.mark.parametrize("layout", ["parquet", "batches", "batches, the folder itself", "folders"])
def test_both_sets_may_lie_in_one_data_root(tmp_path: Path, layout: str) -> None:
    for write in LAYOUTS.values():
        write[layout](tmp_path)
    for cifar in LAYOUTS:
        assert np.array_equal(load(cifar, "test", tmp_path).labels, files.labels(cifar, 200))


def test_the_names_of_the_classes_are_in_the_order_of_the_labels() -> None:
    """Twenty superclasses of five: the published mapping of labels makes sense with these names only."""
    assert CIFAR100.classes == tuple(sorted(set(CIFAR100.classes)))
    assert np.bincount(files.COARSE).tolist() == [5] * 20
    of = [[CIFAR100.classes[at] for at in np.flatnonzero(coarse == files.COARSE)] for coarse in range(20)]
    assert of[1] == ["aquarium_fish", "flatfish", "ray", "shark", "trout"]
    assert of[14] == ["baby", "boy", "girl", "man", "woman"]
    assert of[17] == ["maple_tree", "oak_tree", "palm_tree", "pine_tree", "willow_tree"]
    assert of[18] == ["bicycle", "bus", "motorcycle", "pickup_truck", "train"]


def test_the_live_suite_corrupts_the_test_images(tmp_path: Path, cifar: Cifar) -> None:
    LAYOUTS[cifar]["batches"](tmp_path)
    suite = registry.load(registry.SUITES, f"{cifar.slug}-c-live")
    (shift,) = [shift for shift in suite.shifts if shift.name == "contrast/4"]
    images, labels = shift.build(tmp_path).batch(torch.arange(200))
    clean = torch.from_numpy(files.images("test", 200)).permute(0, 3, 1, 2)
    expected = corrupt(clean, torch.arange(200), name="contrast", severity=4, table="cifar")
    assert torch.equal(images, expected / 255)
    assert np.array_equal(labels, files.labels(cifar, 200))
    assert (len(suite.train(tmp_path)), len(suite.val(tmp_path))) == (180, 20)
    assert suite.verify(tmp_path) == verify(cifar, tmp_path)


# The real images


def test_real_images(shared: Path) -> None:
    root = shared / "data"
    assert all(finding.ok for finding in verify(CIFAR10, root))
    test, train, val = (load(CIFAR10, part, root) for part in ("test", "train", "val"))
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
    val = load(CIFAR10, "val", shared / "data")
    assert hashlib.sha256(val.ids.numpy().tobytes()).hexdigest()[:16] == "8beec0accb6d468f"
