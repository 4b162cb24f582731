"""Suites of street scenes: what they name, what they load, which copies they accept, what they refuse."""

import shutil
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from flatqat import registry
from flatqat.bench.plan import make_plan
from flatqat.bench.progress import Progress
from flatqat.bench.request import Request
from flatqat.bench.run import run
from flatqat.bench.store import Store
from flatqat.data.streets import camvid
from flatqat.data.streets.listed import Listed, image_id, listed
from flatqat.data.streets.names import CITYSCAPES
from flatqat.data.streets.verify import counted
from flatqat.errors import DataError
from flatqat.spec import Frame
from flatqat.suite import Finding, Suite
from flatqat.suites import _streets
from flatqat.testing import suites as suite_checks

from ..data import street_files  # noqa: TID252 (the same files in the layout of their originals)

OF_CITYSCAPES = (
    "cityscapes-acdc", "cityscapes-acdc-pooled", "cityscapes-c-live", "dark-zurich", "nighttime-driving",
    "bdd100k",
)  # fmt: skip
SUITES = (*OF_CITYSCAPES, "camvid-dusk")
LABELS = "_gtFine_labelTrainIds.png"


def load(name: str) -> Suite:
    suite: Suite = registry.load(registry.SUITES, name)
    return suite


def stops(name: str, root: Path) -> list[Finding]:
    return [finding for finding in load(name).verify(root) if finding.stops]


@pytest.fixture(scope="session")
def scene() -> street_files.Scene:
    """CamVid's images where they are, else drawn ones."""
    folder = Path(__file__).resolve().parents[3] / "shared/data/camvid"
    return street_files.of_camvid(folder) if folder.is_dir() else street_files.drawn


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory, scene: street_files.Scene) -> Path:
    """All sets, a few images each. Not to be changed."""
    root = tmp_path_factory.mktemp("streets")
    street_files.cityscapes(root, scene=scene)
    street_files.acdc(root, scene=scene)
    street_files.dark_zurich(root)
    street_files.nighttime_driving(root)
    street_files.bdd100k(root)
    return root


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    """A copy to be changed."""
    return Path(shutil.copytree(made, tmp_path / "copy"))


@pytest.mark.parametrize("name", SUITES)
def test_common_ground(name: str) -> None:
    suite = load(name)
    suite_checks.suite_starts_with_id(suite)
    assert suite.name == name
    assert (suite.task, suite.metric) == ("segmentation", "miou")
    assert len(suite.class_names) == suite.classes == (11 if name == "camvid-dusk" else 19)
    assert len(set(suite.class_names)) == suite.classes
    assert {"default", "smoke"} <= set(suite.budgets)
    assert ("eval" in suite.budgets) == (name in OF_CITYSCAPES)
    pools = {shift.pool for shift in suite.shifts}
    assert len(pools) == (1 if name == "cityscapes-c-live" else len(suite.shifts))


def test_protocols_differ() -> None:
    assert len({load(name).protocol for name in SUITES}) == len(SUITES)


def test_a_whole_run_on_acdc(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Train, quantize, score every condition; each score is that of the stored matrices, pooled."""
    size = (48, 64)
    small = replace(
        load("cityscapes-acdc"), view=partial(_streets.view, size), still=partial(_streets.still, size)
    )
    monkeypatch.setattr("flatqat.suites.cityscapes_acdc.SUITE", small)
    request = Request(
        suites=("cityscapes-acdc",), methods=("fp", "qat"), bits=("4",), models=("tiny-seg",),
        budget="smoke", settings={"budget": {"pretrain_steps": "30", "steps": "2"}},
        data_root=made, results=tmp_path, spaces=(),
    )  # fmt: skip
    records = run(make_plan(request), torch.device("cpu"), Progress())
    assert [record.status for record in records] == ["done", "done"]
    images = {"id": 4, "fog": 3, "night": 4, "rain": 3, "snow": 3, "reference": 13, "val": 4}
    for record in records:
        assert {shift: scores["miou"].n for shift, scores in record.scores.items()} == images
        assert record.protocol["class_names"] == list(small.class_names)
        assert "Cityscapes val: 4 of 500 images with label maps" in record.protocol["in_part"]
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
    rooted = replace(suite, shifts=shifts, verify=lambda _: [Finding(ok=True, what="made")])
    suite_checks.suite_data_is_consistent(rooted)
    suite_checks.suite_members_are_those_of_its_targets(rooted)


@pytest.mark.parametrize("name", OF_CITYSCAPES)
def test_made_copies_verify_and_load(name: str, made: Path) -> None:
    """Nothing stops; every pair is there with the labels of its file, whole; training waits for a view."""
    suite = load(name)
    found = suite.verify(made)
    assert [finding.what for finding in found if finding.stops] == []
    assert all(" of " in one.what for one in found if one.partial)  # of so many that were published
    for shift in suite.on_disk(made).scored:
        data = shift.build(made)
        assert data.through is None
        images, masks = data.batch(torch.arange(2))
        assert images.shape == (2, 3, 48, 96)
        known = masks[masks != 255]
        assert 0 <= int(known.min()) <= int(known.max()) < 19
    train = suite.train(made)
    assert train.through is not None
    assert suite.view is not None
    assert suite.still is not None
    for view in (suite.still, suite.view(Frame(), 3)):
        assert train.seen(view).fetch(torch.tensor([0])).shape == (1, 4, 512, 1024)


def test_id_val_and_training_images_are_apart(made: Path) -> None:
    suite = load("cityscapes-acdc")
    names = {split: listed(made, CITYSCAPES, split).names for split in ("train", "val")}
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
    assert [shift.name for shift in suite.shifts if not shift.headline] == ["reference"]
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
    assert any("no labelled images in clear weather" in one.what for one in suite.verify(root))
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
    assert "flattened copy, in which nothing tells fog from snow" in found[0].what
    assert "--suite cityscapes-acdc-pooled" in found[0].mend
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


def test_a_tree_of_label_ids_is_refused(root: Path) -> None:
    """As published, without running csCreateTrainIdLabelImgs."""
    for path in root.glob(f"cityscapes/gtFine/val/*/*{LABELS}"):
        path.unlink()
    (found,) = stops("cityscapes-acdc", root)
    assert "_gtFine_labelIds.png and the like: labelIds, 0 to 33" in found.what
    assert "csCreateTrainIdLabelImgs" in found.mend


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (lambda labels: street_files.LABEL_IDS[labels], "labelIds, 0 to 33, where labelTrainIds are needed"),
        (lambda labels: np.where(labels == 255, 255, labels + 1), "off by one"),
        (lambda labels: labels + np.uint8(1), "off by one, with 0 for what is not scored"),
        (lambda labels: labels - np.uint8(1), "lowered by one"),
        (lambda labels: np.full_like(labels, 255), "got 255 alone: no pixel would be scored"),
        (lambda labels: np.dstack([labels] * 3), "colours: a map made to be looked at"),
        (lambda labels: labels[::2, ::2], "expected a label map of its size, 96x48, got 48x24"),
    ],
    ids=["labelIds", "from 1", "from 1 and 0", "reduced", "none", "colours", "size"],
)
@pytest.mark.parametrize("tree", ["cityscapes/gtFine/val", "acdc/gt/night/val"])
def test_wrong_label_maps_are_found(change, cause: str, tree: str, root: Path) -> None:
    street_files.relabel(root / tree, "_labelTrainIds.png", change)
    found = stops("cityscapes-acdc", root)
    assert len(found) >= 1
    assert any(cause in finding.what for finding in found)
    assert all(finding.mend for finding in found)


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
    part = Listed(title="Set", names=names, images=names, masks=names)
    assert counted(part, 2).ok
    assert counted(part, None).ok
    assert counted(part, 1).stops
    assert counted(part, 3).partial
    lacking = counted(replace(part, unlabelled=("c",)), 2)
    assert lacking.partial
    assert "1 images without one are left out (c)" in lacking.what


def test_hidden_files_are_no_images_and_a_name_twice_is_refused(root: Path) -> None:
    """Other systems leave `._NAME` beside NAME."""
    images = root / "cityscapes/leftImg8bit/val"
    (name,) = images.glob("lindau/*_000000_*")
    name.with_name(f"._{name.name}").write_bytes(b"not an image")
    assert len(listed(root, CITYSCAPES, "val")) == 4
    assert not listed(root, CITYSCAPES, "val").unlabelled
    shutil.copy(name, images / "frankfurt" / name.name)
    with pytest.raises(DataError, match=r"expected each file once, got .*; remove one"):
        listed(root, CITYSCAPES, "val")


def test_without_training_images_nothing_is_trained(root: Path) -> None:
    shutil.rmtree(root / "cityscapes/leftImg8bit/train")
    suite = load("dark-zurich")
    assert "leftImg8bit/train" in suite.untrainable(root)
    assert not stops("dark-zurich", root)
    assert any("methods that train are skipped" in finding.mend for finding in suite.verify(root))
    assert suite.train(root).ids.tolist() == suite.shifts[0].build(root).ids.tolist()
    assert suite.train(root).through is not None


def test_training_images_are_listed_once_to_train_and_once_to_select(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = []

    def counted(*args: object) -> Listed:
        read.append(args[-1])
        return listed(*args)  # type: ignore[arg-type]

    monkeypatch.setattr("flatqat.data.streets.cityscapes.listed", counted)
    suite = load("dark-zurich")
    assert (len(suite.train(root)), len(suite.val(root))) == (4, 4)
    assert read == ["train", "train"]


def test_images_that_suites_share_are_verified_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []

    def counted(part: Listed) -> str:
        opened.append(part.title)
        return part.title

    monkeypatch.setattr("flatqat.data.streets.verify._files", counted)
    for name in OF_CITYSCAPES:
        load(name).verify(root)
    assert opened.count("Cityscapes val") == opened.count("Cityscapes train") == 1


@pytest.mark.parametrize("name", SUITES)
def test_no_data_root_is_told_once(name: str, tmp_path: Path) -> None:
    (found,) = load(name).verify(None)
    assert found.stops
    assert found.mend == "pass --data-root FOLDER"
    (found,) = load(name).verify(tmp_path / "nowhere")
    assert (found.stops, found.mend) == (True, "check the path")


@pytest.mark.parametrize("name", SUITES)
def test_an_empty_root_says_what_is_expected(name: str, tmp_path: Path) -> None:
    (found, *_) = stops(name, tmp_path)
    assert "got an empty folder" in found.what
    assert "CamVid" in found.what or "cityscapes/leftImg8bit/val" in found.what


def test_live_corruptions_leave_label_maps_alone(made: Path) -> None:
    suite = load("cityscapes-c-live")
    outside = {shift.name.split("/")[0] for shift in suite.shifts if not shift.headline}
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
    again = pickle.loads(pickle.dumps((suite.shifts, suite.still, suite.view)))
    assert [shift.name for shift in again[0]] == [shift.name for shift in suite.shifts]


def test_verifying_imports_no_torch(made: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from flatqat import registry\n"
        f"suite = registry.load(registry.SUITES, 'cityscapes-acdc'); suite.verify(Path({str(made)!r}))\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_camvid_is_cut_by_drives(shared: Path) -> None:
    suite = load("camvid-dusk")
    assert not stops("camvid-dusk", shared / "data")
    parts = {part: camvid.listed(shared / "data", part).names for part in camvid.SEQUENCES}
    assert {part: {name.split("_")[0] for name in names} for part, names in parts.items()} == {
        part: {sequence} for part, sequence in camvid.SEQUENCES.items()
    }
    assert [len(parts[part]) for part in ("train", "val", "id")] == [204, 101, 171]
    assert len(parts["dusk"]) in (62, 124)
    images, masks = suite.shifts[1].build(shared / "data").batch(torch.arange(2))
    assert images.shape == (2, 3, 360, 480)
    with Image.open(shared / f"data/camvid/trainannot/{parts['dusk'][0]}.png") as image:
        stored = torch.from_numpy(np.array(image)).long()
    assert torch.equal(masks[0], torch.where(stored == 11, 255, stored))


def test_dusk_is_darker_than_day(shared: Path) -> None:
    day, dusk = (
        shift.build(shared / "data").sample(12).batch(torch.arange(12))[0].mean()
        for shift in load("camvid-dusk").shifts
    )
    assert dusk < day


def test_a_copy_of_camvid(tmp_path: Path) -> None:
    """In the layout of SegNet's: drives spread over its folders, seconds of full rate left out, void 11."""
    home = tmp_path / "CamVid"
    files = {
        "train": ["0016E5_07959", "0016E5_08159", "0016E5_00390", "0006R0_f00930", "0001TP_006690"],
        "val": ["0016E5_07961", "0016E5_08160"],
        "test": ["Seq05VD_f00000", "Seq05VD_f00030", "0001TP_008550"],
    }
    for at, (split, names) in enumerate(files.items()):
        (home / split).mkdir(parents=True)
        (home / f"{split}annot").mkdir()
        for name in names:
            image, labels = street_files.drawn(at)
            values = np.asarray(labels)
            image.save(home / split / f"{name}.png")
            stored = np.where(values == 255, 11, values % 11).astype(np.uint8)
            Image.fromarray(stored).save(home / f"{split}annot" / f"{name}.png")
    parts = {part: camvid.listed(tmp_path, part).names for part in camvid.SEQUENCES}
    assert parts == {
        "train": ("0016E5_00390", "0016E5_08160"),
        "val": ("0006R0_f00930",),
        "id": ("Seq05VD_f00000", "Seq05VD_f00030"),
        "dusk": ("0001TP_006690", "0001TP_008550"),
    }
    assert not stops("camvid-dusk", tmp_path)
    suite = load("camvid-dusk")
    _, masks = suite.shifts[0].build(tmp_path).batch(torch.arange(1))
    values = torch.from_numpy(np.array(street_files.drawn(2)[1])).long()
    assert torch.equal(masks[0], torch.where(values == 255, 255, values % 11))
    assert suite.still is not None
    assert int(suite.train(tmp_path).seen(suite.still).fetch(torch.arange(2))[:, 3].max()) == 255


def test_camvid_with_colours_as_labels_is_refused(tmp_path: Path) -> None:
    home = tmp_path / "camvid"
    for split, sequence in (("train", "0016E5"), ("val", "0006R0"), ("test", "Seq05VD"), ("test", "0001TP")):
        for folder in (home / split, home / f"{split}annot"):
            folder.mkdir(parents=True, exist_ok=True)
            street_files.drawn(0)[0].save(folder / f"{sequence}_00030.png")
    found = stops("camvid-dusk", tmp_path)
    assert len(found) == 4
    assert all("got colours" in finding.what for finding in found)
