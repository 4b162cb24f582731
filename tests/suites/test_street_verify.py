"""What verifying a suite of street scenes finds wrong, missing or in part."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from flatqat.data.streets.listing import Listing, list_part
from flatqat.data.streets.names import CITYSCAPES
from flatqat.data.streets.verify import counted
from flatqat.errors import DataError
from tests.helpers import street_files
from tests.helpers.loading import imported_by_verifying, load, stops
from tests.helpers.street_names import OF_CITYSCAPES, SUITES

LABELS = "_gtFine_labelTrainIds.png"


def test_a_tree_of_label_ids_is_refused(root: Path) -> None:
    """As published, without running csCreateTrainIdLabelImgs."""
    for path in root.glob(f"cityscapes/gtFine/val/*/*{LABELS}"):
        path.unlink()
    (found,) = stops("cityscapes-acdc", root)
    assert "_gtFine_labelIds.png and the like: labelIds, 0 to 33" in found.what
    assert "csCreateTrainIdLabelImgs" in found.fix


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (lambda labels: street_files.LABEL_IDS[labels], "labelIds, 0 to 33, where labelTrainIds are needed"),
        (lambda labels: np.where(labels == 255, 255, labels + 1), "off by one"),
        (lambda labels: labels + np.uint8(1), "off by one, and 0 marks pixels"),
        (lambda labels: labels - np.uint8(1), "one was subtracted"),
        (lambda labels: np.full_like(labels, 255), "got 255 alone: no pixel would be scored"),
        (lambda labels: np.dstack([labels] * 3), "colors: a map for display"),
        (lambda labels: labels[::2, ::2], "expected a label map of its size, 96x48, got 48x24"),
    ],
    ids=["labelIds", "from 1", "from 1 and 0", "reduced", "none", "colors", "size"],
)
@pytest.mark.parametrize("tree", ["cityscapes/gtFine/val", "acdc/gt/night/val"])
def test_wrong_label_maps_are_found(change, cause: str, tree: str, root: Path) -> None:
    street_files.relabel(root / tree, "_labelTrainIds.png", change)
    found = stops("cityscapes-acdc", root)
    assert len(found) >= 1
    assert any(cause in finding.what for finding in found)
    assert all(finding.fix for finding in found)


def test_labels_in_range_that_start_at_one_are_found(root: Path) -> None:
    street_files.relabel(
        root / "acdc/gt/night/val", "_labelTrainIds.png", lambda labels: np.where(labels > 8, 9, labels + 1)
    )
    (found,) = stops("cityscapes-acdc", root)
    assert "expected class 0 in some of 4 label maps, got none (values 1 to 9)" in found.what


def test_a_size_of_its_own_and_a_damaged_file_are_found(root: Path) -> None:
    image, labels = street_files.drawn(7, (80, 40))
    image.save(root / "acdc/rgb_anon/fog/val/GOPR0175/GOPR0175_frame_000001_rgb_anon.png")
    labels.save(root / "acdc/gt/fog/val/GOPR0175/GOPR0175_frame_000001_gt_labelTrainIds.png")
    (path,) = root.glob("acdc/rgb_anon/snow/val/*/*_000002_rgb_anon.png")
    path.write_bytes(path.read_bytes()[:-60])
    sizes, damaged = stops("cityscapes-acdc", root)
    assert "got 96x48 in" in sizes.what
    assert "and 80x40 in" in sizes.what
    assert str(path) in damaged.what


def test_missing_counterparts_are_left_out_and_told(root: Path) -> None:
    (path,) = root.glob(f"cityscapes/gtFine/val/lindau/*_000000_*{LABELS}")
    path.unlink()
    assert not stops("cityscapes-acdc", root)
    told = load("cityscapes-acdc").verify(root)[0]
    assert told.partial
    assert told.what == (
        "Cityscapes val: 3 of 500 images with label maps, 1 images without one are left out "
        "(lindau_000000_000019)"
    )
    assert len(load("cityscapes-acdc").shifts[0].build(root)) == 3


def test_more_than_was_published_is_wrong_and_a_pair_too_few_is_told() -> None:
    names = ("a", "b")
    part = Listing(title="Set", names=names, images=names, masks=names)
    assert counted(part, 2).ok
    assert counted(part, None).ok
    assert counted(part, 1).is_fatal
    assert counted(part, 3).partial
    lacking = counted(replace(part, unlabeled=("c",)), 2)
    assert lacking.partial
    assert "1 images without one are left out (c)" in lacking.what


def test_hidden_files_are_no_images_and_a_name_twice_is_refused(root: Path) -> None:
    """Other systems leave `._NAME` beside NAME."""
    images = root / "cityscapes/leftImg8bit/val"
    (name,) = images.glob("lindau/*_000000_*")
    name.with_name(f"._{name.name}").write_bytes(b"not an image")
    assert len(list_part(root, CITYSCAPES, "val")) == 4
    assert not list_part(root, CITYSCAPES, "val").unlabeled
    shutil.copy(name, images / "frankfurt" / name.name)
    with pytest.raises(DataError, match=r"expected each file once, got .*; remove one"):
        list_part(root, CITYSCAPES, "val")


def test_images_that_suites_share_are_verified_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []

    def counted(part: Listing) -> str:
        opened.append(part.title)
        return part.title

    monkeypatch.setattr("flatqat.data.streets.verify._files", counted)
    for name in OF_CITYSCAPES:
        load(name).verify(root)
    assert opened.count("Cityscapes val") == opened.count("Cityscapes train") == 1


@pytest.mark.parametrize("name", SUITES)
def test_no_data_root_is_told_once(name: str, tmp_path: Path) -> None:
    (found,) = load(name).verify(None)
    assert found.is_fatal
    assert found.fix == "pass --data-root FOLDER"
    (found,) = load(name).verify(tmp_path / "nowhere")
    assert (found.is_fatal, found.fix) == (True, "check the path")


@pytest.mark.parametrize("name", SUITES)
def test_an_empty_root_says_what_is_expected(name: str, tmp_path: Path) -> None:
    (found, *_) = stops(name, tmp_path)
    assert "got an empty folder" in found.what
    assert "CamVid" in found.what or "cityscapes/leftImg8bit/val" in found.what


def test_verifying_imports_no_torch(made: Path) -> None:
    assert "torch" not in imported_by_verifying(["cityscapes-acdc"], made)
