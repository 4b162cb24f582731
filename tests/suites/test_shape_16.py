"""Drawings and silhouettes of 16 classes: the grouping, what is on disk, and scores from end to end."""

from pathlib import Path

import numpy as np
import pytest
import torch

from flatqat.data.imagenet import classes, natural, sixteen
from flatqat.data.imagenet.names import EDGES, SILHOUETTES
from flatqat.errors import DataError
from tests.helpers import imagenet_files as files
from tests.helpers.loading import imported_by_verifying, load

VAL = (65, 404, 8, 145, 268)  # a sea snake, an airliner, two birds and a dog
SETS = ("edges", "filled-silhouettes")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    files.natural(tmp_path / "imagenet" / "val", VAL, each=1)
    for name in SETS:
        files.natural(tmp_path / "texture-vs-shape" / name, sixteen.NAMES, each=1, stem=name)
    return tmp_path


def test_the_grouping_as_published() -> None:
    """Sizes and some members of Geirhos et al. 2018, by WordNet id; 207 classes, each in one group."""
    assert [len(group) for group in sixteen.GROUPS] == [
        1, 4, 2, 49, 5, 7, 3, 6, 4, 3, 109, 2, 2, 1, 1, 8,
    ]  # fmt: skip
    assert len({label for group in sixteen.GROUPS for label in group}) == 207
    assert list(sixteen.NAMES) == sorted(sixteen.NAMES)
    for name, *wnids in (
        ("airplane", "n02690373"), ("knife", "n03041632"), ("oven", "n04111531"),
        ("keyboard", "n03085013", "n04505470"), ("elephant", "n02504013", "n02504458"),
        ("bicycle", "n02835271", "n03792782"), ("clock", "n02708093", "n03196217", "n04548280"),
        ("bear", "n02132136", "n02133161", "n02134084", "n02134418"),
        ("chair", "n02791124", "n03376595", "n04099969", "n04429376"),
        ("car", "n02814533", "n03100240", "n04285008"),
    ):  # fmt: skip
        assert [classes.wnids()[label] for label in sixteen.MEMBERS[name]] == wnids
    missing = {251, 227, 242, 258, 260, 264, 192, 204}  # dogs that WordNet has elsewhere, or were left out
    assert {*range(152, 269)} - {*sixteen.MEMBERS["dog"]} == missing


def test_the_suite(root: Path) -> None:
    suite = load("shape-16")
    assert (suite.classes, [s.name for s in suite.shifts if s.in_mean]) == (
        1000, ["id", "edges", "silhouettes"],
    )  # fmt: skip
    assert {shift.groups for shift in suite.shifts} == {sixteen.GROUPS}
    assert len({shift.image_set for shift in suite.shifts}) == 3
    assert not any(finding.is_fatal for finding in suite.verify(root))
    assert "torch" not in imported_by_verifying(("shape-16",), root)


def test_labels_are_those_of_the_16_classes(root: Path) -> None:
    first, *others = (shift.build(root) for shift in load("shape-16").shifts)
    whole = load("imagenet-v2").shifts[0].build(root)
    label_of = dict(zip(whole.ids.tolist(), whole.labels.tolist(), strict=True))
    pairs = zip([label_of[image] for image in first.ids.tolist()], first.labels.tolist(), strict=True)
    assert {label: sixteen.NAMES[place] for label, place in pairs} == {
        404: "airplane", 8: "bird", 145: "bird", 268: "dog",
    }  # fmt: skip
    for data in others:
        assert sorted(data.labels.tolist()) == list(range(16))
    assert not set(others[0].ids.tolist()) & set(others[1].ids.tolist())
    assert set(load("shape-16").val(root).labels.tolist()) == set(VAL)  # of all 1,000 classes


@pytest.mark.parametrize("where", ["texture-vs-shape", "stimuli", "."])
def test_both_sets_are_told_apart_by_their_folders(where: str, tmp_path: Path) -> None:
    for name in SETS:
        files.natural(tmp_path / where / name, sixteen.NAMES[:2], each=1)
    assert [natural.find(tmp_path, one).name for one in (EDGES, SILHOUETTES)] == list(SETS)
    alone = tmp_path / where / "edges"
    assert natural.find(alone, EDGES) == alone
    with pytest.raises(DataError, match="expected filled silhouettes as texture-vs-shape/filled-silhouettes"):
        natural.find(alone, SILHOUETTES)


def test_what_is_missing_is_told(root: Path) -> None:
    gone = root / "texture-vs-shape" / "edges"
    (gone / "dog" / "edges_0.jpg").unlink()
    (gone / "dog").rmdir()
    found = {finding.what: finding for finding in load("shape-16").verify(root)}
    assert found["edge drawings: 15 of 160 images, 15 of 16 classes (no dog)"].partial
    gone.rename(root / "elsewhere")
    natural.find.cache_clear()
    bad = [finding for finding in load("shape-16").verify(root) if finding.is_fatal]
    assert len(bad) == 1
    assert "expected edge drawings as texture-vs-shape/edges/<class>/*.png, got " in bad[0].what


def test_another_class_is_refused(root: Path) -> None:
    files.natural(root / "texture-vs-shape" / "edges", ("zebra",), each=1)
    with pytest.raises(DataError, match=r"expected class folders airplane, bear, .*, truck, got zebra; use"):
        natural.images(root, EDGES)


def test_the_real_drawings(shared: Path) -> None:
    """Ten of each class, in black on white: more of it where shapes are filled."""
    edges, filled = (shift.build(shared / "data") for shift in load("shape-16").shifts[1:])
    for data in (edges, filled):
        assert np.bincount(data.labels).tolist() == 16 * [10]
    ink = [float((data.batch(torch.arange(0, 160, 5))[0] < 0.5).float().mean()) for data in (edges, filled)]
    assert ink == pytest.approx([0.060, 0.579], abs=0.005)  # as counted in the files
