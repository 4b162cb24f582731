"""Suites of street scenes: what they name, what they load, which copies they accept."""

import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from flatqat.bench.plan.jobs import make_plan
from flatqat.bench.plan.request import Request
from flatqat.bench.records.store import Store
from flatqat.data.images.segmentation_views import center_crop
from flatqat.data.streets.listing import Listing, image_id, list_part
from flatqat.data.streets.names import CITYSCAPES
from flatqat.data.tensors import segmentation_files
from flatqat.finding import Finding
from flatqat.spec import EvalTransform
from flatqat.suite import Suite
from flatqat.suites import _streets
from flatqat.testing import suites as suite_checks
from tests.helpers import street_files
from tests.helpers.loading import load, stops
from tests.helpers.running import run_plan
from tests.helpers.street_names import OF_CITYSCAPES, SUITES


@pytest.mark.parametrize("name", SUITES)
def test_common_ground(name: str) -> None:
    suite = load(name)
    assert suite.name == name
    assert (suite.task, suite.metric) == ("segmentation", "miou")
    assert len(suite.class_names) == suite.classes == (11 if name == "camvid-dusk" else 19)
    assert len(set(suite.class_names)) == suite.classes
    assert {"default", "smoke"} <= set(suite.recipes)
    assert ("eval" in suite.recipes) == (name in OF_CITYSCAPES)
    pools = {shift.image_set for shift in suite.shifts}
    assert len(pools) == (1 if name == "cityscapes-c-live" else len(suite.shifts))


def test_protocols_differ() -> None:
    assert len({load(name).protocol for name in SUITES}) == len(SUITES)


def test_a_whole_run_on_acdc(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Train, quantize, score every condition; each score is that of the stored matrices, pooled."""
    size = (48, 64)
    small = replace(
        load("cityscapes-acdc"),
        train_transform=partial(_streets.train_transform, size),
        fixed_transform=center_crop(size),
    )
    monkeypatch.setattr("flatqat.suites.cityscapes_acdc.SUITE", small)
    request = Request(
        suites=("cityscapes-acdc",), methods=("fp", "qat"), bits=("4",), seeds=(0,), models=("tiny-seg",),
        recipe="smoke", settings={"recipe": {"pretrain_steps": "30", "steps": "2"}},
        data_root=made, results=tmp_path, spaces=(),
    )  # fmt: skip
    records = run_plan(make_plan(request))
    assert [record.status for record in records] == ["done", "done"]
    images = {"id": 4, "fog": 3, "night": 4, "rain": 3, "snow": 3, "reference": 13, "val": 4}
    for record in records:
        assert {shift: scores["miou"].n for shift, scores in record.scores.items()} == images
        assert record.protocol.class_names == small.class_names
        assert "Cityscapes val: 4 of 500 images with label maps" in record.protocol.in_part
        outcomes = Store(tmp_path).outcomes(record.cell)
        for shift in small.shifts:
            pooled = outcomes[f"{shift.name}:confusion"].sum(0, dtype=np.int64)
            masks = shift.build(made).fetch(torch.arange(images[shift.name]))[:, 3]
            truth = torch.bincount(masks[masks != 255].long(), minlength=19)
            assert pooled.sum(1).tolist() == truth.tolist()
            union = pooled.sum(0) + pooled.sum(1) - pooled.diagonal()
            expected = 100 * np.mean(pooled.diagonal()[union > 0] / union[union > 0])
            # the same few divisions in another order
            assert record.scores[shift.name]["miou"].value == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("name", ["cityscapes-acdc", "bdd100k"])
def test_the_contract_of_suites_holds(name: str, made: Path) -> None:
    """With the made copy in place of the data root that the checks do not give."""
    suite = load(name).on_disk(made)
    shifts = tuple(replace(shift, build=lambda _, shift=shift: shift.build(made)) for shift in suite.shifts)
    rooted = replace(
        suite,
        shifts=shifts,
        train=lambda _: suite.train(made),
        val=lambda _: suite.val(made),
        verify=lambda _: [Finding(ok=True, what="made")],
    )
    suite_checks.suite_data_is_consistent(rooted)
    suite_checks.suite_members_are_those_of_its_targets(rooted)


@pytest.mark.parametrize("name", OF_CITYSCAPES)
def test_made_copies_verify_and_load(name: str, made: Path) -> None:
    """Nothing stops; every pair is there with the labels of its file, whole; training waits for a view."""
    suite = load(name)
    found = suite.verify(made)
    assert [finding.what for finding in found if finding.is_fatal] == []
    assert all(" of " in one.what for one in found if one.partial)  # of so many that were published
    for shift in suite.on_disk(made).scored:
        data = shift.build(made)
        assert data.through_transform is None
        images, masks = data.batch(torch.arange(2))
        assert images.shape == (2, 3, 48, 96)
        known = masks[masks != 255]
        assert 0 <= int(known.min()) <= int(known.max()) < 19
    train = suite.train(made)
    assert train.through_transform is not None
    assert suite.train_transform is not None
    assert suite.fixed_transform is not None
    for view in (suite.fixed_transform, suite.train_transform(EvalTransform(), 3)):
        assert train.transformed(view).fetch(torch.tensor([0])).shape == (1, 4, 512, 1024)


def test_id_val_and_training_images_are_apart(made: Path) -> None:
    suite = load("cityscapes-acdc")
    names = {split: list_part(made, CITYSCAPES, split).names for split in ("train", "val")}
    ids = {split: {image_id(name): name.split("_")[0] for name in names[split]} for split in ("train", "val")}
    of_train, of_val = suite.train(made).ids.tolist(), suite.val(made).ids.tolist()
    of_id = suite.shifts[0].build(made).ids.tolist()
    assert {ids["train"][one] for one in of_train} == {"aachen", "bochum"}
    assert {ids["train"][one] for one in of_val} == {"krefeld", "ulm"}
    assert {ids["val"][one] for one in of_id} == {"frankfurt", "lindau"}
    assert len({*of_train, *of_val, *of_id}) == 12


def test_shifts_of_acdc_are_its_conditions(made: Path) -> None:
    suite = load("cityscapes-acdc").on_disk(made)
    counts = {shift.name: len(shift.build(made)) for shift in suite.shifts}
    assert counts == {"id": 4, "fog": 3, "night": 4, "rain": 3, "snow": 3, "reference": 13}
    assert [shift.name for shift in suite.shifts if not shift.in_mean] == ["reference"]
    means = {shift.name: shift.build(made).batch(torch.arange(3))[0].mean() for shift in suite.shifts}
    assert means["fog"] < 0.8 * means["reference"]  # made darker, as the reference is not
    (adverse,) = load("cityscapes-acdc-pooled").shifts[1:]
    together = [one for name in ("fog", "night", "rain", "snow") for one in build(suite, name, made)]
    assert adverse.build(made).ids.tolist() == together


def build(suite: Suite, name: str, root: Path) -> list[int]:
    (shift,) = (shift for shift in suite.shifts if shift.name == name)
    ids: list[int] = shift.build(root).ids.tolist()
    return ids


def test_a_copy_without_clear_weather_has_no_reference(root: Path) -> None:
    for folder in root.glob("acdc/*/*/val_ref"):
        shutil.rmtree(folder)
    suite = load("cityscapes-acdc")
    assert "reference" not in [shift.name for shift in suite.on_disk(root).shifts]
    assert any("no labeled images in clear weather" in one.what for one in suite.verify(root))
    assert not stops("cityscapes-acdc", root)


@pytest.mark.parametrize("tree", ["rgb_anon", "gt"])
def test_one_flattened_tree_gets_its_conditions_from_the_other(tree: str, made: Path, root: Path) -> None:
    ending = "_rgb_anon.png" if tree == "rgb_anon" else "_labelTrainIds.png"
    street_files.flatten(root / "acdc" / tree, ending)
    assert not stops("cityscapes-acdc", root)
    assert not [one.what for one in load("cityscapes-acdc").verify(root) if "without one" in one.what]
    for name in ("fog", "night", "rain", "snow"):
        suite = load("cityscapes-acdc")
        (one,) = (shift for shift in suite.shifts if shift.name == name)
        here, there = one.build(root), one.build(made)
        assert here.ids.tolist() == there.ids.tolist()
        assert torch.equal(here.fetch(torch.arange(3)), there.fetch(torch.arange(3)))


def test_a_flattened_copy_is_scored_together(made: Path, root: Path) -> None:
    street_files.flatten(root / "acdc/rgb_anon", "_rgb_anon.png")
    street_files.flatten(root / "acdc/gt", "_labelTrainIds.png")
    found = stops("cityscapes-acdc", root)
    assert len(found) == 4
    assert "flattened copy, in which nothing distinguishes fog from snow" in found[0].what
    assert "--suite cityscapes-acdc-pooled" in found[0].fix
    assert not stops("cityscapes-acdc-pooled", root)
    (shift,) = load("cityscapes-acdc-pooled").shifts[1:]
    here, there = shift.build(root), shift.build(made)
    assert sorted(here.ids.tolist()) == sorted(there.ids.tolist())


@pytest.mark.parametrize("spelling", ["Cityscapes", "leftImg8bit_trainvaltest", "itself"])
def test_other_places_of_cityscapes(spelling: str, root: Path) -> None:
    home = root / "cityscapes"
    if spelling == "Cityscapes":
        home.rename(root / "Cityscapes")
        (root / "acdc").rename(root / "ACDC")
    elif spelling == "itself":
        root = home
    else:
        for tree, folder in (("leftImg8bit", "leftImg8bit_trainvaltest"), ("gtFine", "gtFine_trainvaltest")):
            (home / folder).mkdir()
            (home / tree).rename(home / folder / tree)
    assert not stops("cityscapes-c-live", root)


def test_the_old_layout_of_bdd100k(made: Path, tmp_path: Path) -> None:
    street_files.cityscapes(tmp_path)
    street_files.bdd100k(tmp_path, old=True)
    assert not stops("bdd100k", tmp_path)
    shift = load("bdd100k").shifts[1]
    index = torch.arange(3)
    assert torch.equal(shift.build(tmp_path).fetch(index), shift.build(made).fetch(index))


def test_without_training_images_nothing_is_trained(root: Path) -> None:
    shutil.rmtree(root / "cityscapes/leftImg8bit/train")
    suite = load("dark-zurich")
    assert "leftImg8bit/train" in suite.untrainable_reason(root)
    assert not stops("dark-zurich", root)
    assert any("methods that train are skipped" in finding.fix for finding in suite.verify(root))
    assert suite.train(root).ids.tolist() == suite.shifts[0].build(root).ids.tolist()
    assert suite.train(root).through_transform is not None


def test_training_images_are_listed_once_to_train_and_once_to_select(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = []

    def counted(*args: object) -> Listing:
        read.append(args[-1])
        return list_part(*args)  # type: ignore[arg-type]

    monkeypatch.setattr("flatqat.data.streets.cityscapes.list_part", counted)
    suite = load("dark-zurich")
    assert (len(suite.train(root)), len(suite.val(root))) == (4, 4)
    assert read == ["train", "train"]


def test_live_corruptions_leave_label_maps_alone(made: Path) -> None:
    suite = load("cityscapes-c-live")
    outside = {shift.name.split("/")[0] for shift in suite.shifts if not shift.in_mean}
    assert outside == {"elastic_transform"}
    assert len(suite.shifts) == 76
    clean, masks = suite.shifts[0].build(made).batch(torch.arange(2))
    for shift in suite.shifts[1::5]:
        images, same = shift.build(made).batch(torch.arange(2))
        assert torch.equal(masks, same), shift.name
        assert images.shape == clean.shape
        assert not torch.equal(images, clean), shift.name


@pytest.mark.parametrize("name", SUITES)
def test_shifts_travel_to_other_processes(name: str) -> None:
    import pickle

    suite = load(name)
    again = pickle.loads(pickle.dumps((suite.shifts, suite.fixed_transform, suite.train_transform)))
    assert [shift.name for shift in again[0]] == [shift.name for shift in suite.shifts]


def test_images_that_are_corrupted_live_are_decoded_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For every shift, and for `val` where there are no training images."""
    shutil.rmtree(root / "cityscapes/leftImg8bit/train")
    decoded, read_pair = [], segmentation_files.read_pair

    def noted(image: Path, *rest: object, **options: object) -> object:
        decoded.append(image)
        return read_pair(image, *rest, **options)

    monkeypatch.setattr(segmentation_files, "read_pair", noted)
    clean, _ = zip(*_streets.cityscapes.scored(root).batches(2), strict=True)
    once = len(decoded)
    for shift in load("cityscapes-c-live").scored[:4]:
        images, _ = zip(*shift.build(root).batches(2, workers=2), strict=True)
        assert torch.equal(torch.cat(images), torch.cat(clean)) == (shift.family in ("id", "val"))
    assert len(decoded) == 2 * once == 2 * len({*decoded})
