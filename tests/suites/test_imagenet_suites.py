"""The suites of ImageNet's classes: shifts, masks, pools, recipes, and what they cost to load."""

import pickle
from pathlib import Path

import pytest
import torch

from flatqat.data.imagenet import classes, clean
from flatqat.data.imagenet.names import (
    IMAGENET_A,
    IMAGENET_C,
    IMAGENET_C_BAR,
    IMAGENET_R,
    IMAGENET_V2,
    NaturalSet,
)
from flatqat.errors import DataError
from flatqat.metrics.effective_robustness import LINES
from flatqat.metrics.mce import NORMALIZERS
from flatqat.spec import EvalTransform
from flatqat.suite import Shift, Suite
from tests.helpers import imagenet_files as files
from tests.helpers.command_line import assert_one_line_error
from tests.helpers.loading import imported_by_verifying, load

CORRUPTED = {"imagenet-c": 75, "imagenet-c-live": 75, "imagenet-c-bar": 50, "imagenet-3dcc": 60}
NATURAL = ("imagenet-r", "imagenet-a", "imagenet-sketch", "imagenet-v2")
ALL = (*CORRUPTED, *NATURAL)


def shifts(suite: Suite) -> dict[str, Shift]:
    return {shift.name: shift for shift in suite.shifts}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few images of every set but ImageNet-3DCC."""
    root = files.val(tmp_path_factory.mktemp("data"))
    files.corrupted(root / "imagenet-c", IMAGENET_C)
    files.corrupted(root / "imagenet-c-bar", IMAGENET_C_BAR)
    files.natural(root / "imagenet-r", files.IN_R[:4])
    files.natural(root / "imagenet-a", files.IN_A[:3])
    files.natural(root / "sketch", (0, 500, 999), stem="sketch")
    for variant in IMAGENET_V2:
        files.natural(root / "imagenet-v2" / f"imagenetv2-{variant}-format-val", ("3", "20"))
    return root


@pytest.mark.parametrize("name", ALL)
def test_common_ground(name: str) -> None:
    suite = load(name)
    assert (suite.name, suite.classes, suite.default_model) == (name, 1000, "torchvision:resnet50")
    assert list(suite.recipes) == ["default", "smoke", "eval"]
    assert (suite.recipes["eval"].pretrain_steps, suite.recipes["eval"].steps) == (0, 0)
    assert suite.sizes_vary
    assert suite.eval_transform == (None if name in NATURAL else EvalTransform())
    for words in ("50,000 validation images", "no mask", "without training images", "grids are calibrated"):
        assert words in suite.protocol


def test_protocols_differ() -> None:
    assert len({load(name).protocol for name in ALL}) == len(ALL)


@pytest.mark.parametrize(("name", "count"), CORRUPTED.items())
def test_the_headline_of_corrupted_sets(name: str, count: int) -> None:
    suite = load(name)
    assert len([shift for shift in suite.shifts[1:] if shift.in_mean]) == count
    assert {shift.image_set for shift in suite.shifts} == {"id"}
    assert {shift.severity for shift in suite.shifts[1:]} == {1, 2, 3, 4, 5}


def test_normalizers_and_baselines() -> None:
    """Constants of the official files say nothing of live corruptions."""
    given = {name: load(name).normalizer for name in ALL if load(name).normalizer}
    assert given == {"imagenet-c": "alexnet"}
    errors, _ = NORMALIZERS["alexnet"]
    headline = {s.name.partition("/")[0] for s in load("imagenet-c").shifts[1:] if s.in_mean}
    assert headline == set(errors)
    lines = {name: load(name).baseline for name in ALL if load(name).baseline}
    assert lines == {name: f"{name}@1" for name in ("imagenet-r", "imagenet-sketch", "imagenet-v2")}
    assert set(lines.values()) <= set(LINES)


@pytest.mark.parametrize(("name", "shift", "wanted"), [
    ("imagenet-r", "imagenet-r", IMAGENET_R), ("imagenet-a", "imagenet-a", IMAGENET_A),
])  # fmt: skip
def test_sets_of_200_classes_are_masked_like_their_id_set(
    name: str, shift: str, wanted: NaturalSet, root: Path
) -> None:
    found = shifts(load(name))
    only = found[shift].class_subset
    assert only == found["id"].class_subset == wanted.class_subset
    assert only == tuple(sorted(set(only)))
    assert len(only) == 200
    assert [s.name for s in found.values() if s.in_mean] == ["id", shift]
    assert (found["id_1000"].class_subset, found["id_1000"].in_mean) == (None, False)
    assert len({s.image_set for s in found.values()}) == 3
    masked, whole = found["id"].build(root), found["id_1000"].build(root)
    assert set(masked.labels.tolist()) == set(files.NUMBERS.values()) & set(only)
    assert len(whole) == len(files.NUMBERS) > len(masked)
    assert set(found[shift].build(root).labels.tolist()) <= set(only)


def test_published_figures_name_shifts_that_there_are() -> None:
    """And ImageNet's own are of a suite whose images are cut as each model asks."""
    from flatqat.bench.engine.canary import figures

    for figure in figures():
        if figure.suite.startswith("imagenet") and figure.metric == "top1":
            names = {part for name in shifts(load(figure.suite)) for part in (name, name.partition("/")[0])}
            assert figure.shift in names
            assert figure.shift != "id" or load(figure.suite).eval_transform is None


def test_variants_of_v2() -> None:
    found = shifts(load("imagenet-v2"))
    assert list(found) == ["id", "matched-frequency", "threshold0.7", "top-images"]
    assert [name for name, shift in found.items() if shift.in_mean] == ["id", "matched-frequency"]
    assert len({shift.image_set for shift in found.values()}) == 4


@pytest.mark.parametrize("name", [name for name in ALL if name != "imagenet-3dcc"])
def test_one_pool_shows_the_same_images(name: str, root: Path) -> None:
    """As the contract of suites asks: labels in range, one pool in one order, two builds alike."""
    suite = load(name)
    assert not any(finding.is_fatal for finding in suite.verify(root))
    ids: dict[str, torch.Tensor] = {}
    for shift in suite.shifts:
        data = shift.build(root)
        assert torch.equal(data.ids, ids.setdefault(shift.image_set, data.ids))
        assert torch.equal(data.labels, shift.build(root).labels)
        assert 0 <= int(data.labels.min()) <= int(data.labels.max()) < suite.classes
        stored = name in ("imagenet-c", "imagenet-c-bar") and shift.name != "id"
        assert (data.through_transform is None) == (stored or name == "imagenet-c-live")


def test_live_corruptions_are_those_of_imagenet_c(root: Path) -> None:
    """The constants for 224 pixels, on the image cut to that size, seeded by the image's number."""
    from flatqat.data.corruptions.apply import corrupt

    suite = load("imagenet-c-live")
    clean, data = suite.shifts[0].build(root), shifts(suite)["gaussian_noise/5"].build(root)
    index = torch.tensor([3, 7])
    pixels = clean.fetch(index)
    assert pixels.shape == (2, 3, 224, 224)
    expected = corrupt(pixels, clean.ids[index], name="gaussian_noise", severity=5, table="imagenet")
    assert torch.equal(data.batch(index)[0], expected.float() / 255)
    alone = data.subset(torch.tensor([7])).batch(torch.tensor([0]))[0]
    assert torch.equal(alone[0], data.batch(index)[0][1])


def test_the_real_images_corrupted_live(shared: Path) -> None:
    suite = load("imagenet-c-live")
    clean = suite.shifts[0].build(shared / "data").sample(2).batch(torch.arange(2))[0]
    for name in ("fog/1", "pixelate/3", "jpeg_compression/5"):
        images, _ = shifts(suite)[name].build(shared / "data").sample(2).batch(torch.arange(2))
        assert images.shape == clean.shape == (2, 3, 224, 224)
        assert 0.001 < (images - clean).abs().mean() < 0.5


def test_training_cuts_at_random() -> None:
    import numpy as np
    from PIL import Image

    suite = load("imagenet-c")
    assert suite.train_transform is not None
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (150, 200, 3), np.uint8))
    views = [suite.train_transform(EvalTransform(crop=32), seed)(image, 5) for seed in (1, 1, 2)]
    assert all(view.shape == (32, 32, 3) for view in views)
    assert (views[0] == views[1]).all()
    assert (views[0] != views[2]).any()


def test_what_is_not_on_disk_is_left_out(tmp_path: Path, root: Path) -> None:
    two = {1: 65, 2: 970}
    folder = files.corrupted(files.val(tmp_path, two) / "imagenet-c", IMAGENET_C, two)
    suite = load("imagenet-c")
    assert suite.on_disk(root) is suite
    for name, family in IMAGENET_C.families.items():
        if family == "extra":
            (folder / name).rename(tmp_path / name)
    left = tmp_path / "left"
    left.mkdir()
    (tmp_path / "imagenet").rename(left / "imagenet")
    folder.rename(left / "imagenet-c")
    assert len(suite.on_disk(left).shifts) == 1 + 75
    assert all(shift.in_mean for shift in suite.on_disk(left).shifts)


def test_a_headline_is_never_left_out(tmp_path: Path) -> None:
    names = [shift.name for shift in load("imagenet-v2").on_disk(tmp_path).shifts]
    assert names == ["id", "matched-frequency"]


@pytest.mark.parametrize("name", ALL)
def test_shifts_travel_to_other_processes(name: str) -> None:
    suite = load(name)
    again = pickle.loads(pickle.dumps(suite.shifts))
    assert [shift.name for shift in again] == [shift.name for shift in suite.shifts]


def test_verifying_imports_no_torch(root: Path) -> None:
    assert "torch" not in imported_by_verifying(ALL, root)


def test_a_table_of_classes_ships_with_the_package() -> None:
    assert Path(classes.__file__).with_name("classes.txt").is_file()


def test_generated_images_are_read_back_paired(tmp_path: Path) -> None:
    """Made of a flat folder with labels beside it, read as official ones are, equal up to the JPEG codec."""
    from flatqat.commands.generate import generate_suite
    from flatqat.data.imagenet.files import in_class_folders

    two = {1: 65, 293: 0}
    files.listed(files.flat_val(tmp_path, two) / "imagenet" / "val.txt", two)
    made = tmp_path / "imagenet-c"
    generate_suite(
        "imagenet-c", tmp_path / "imagenet" / "val", made, ("contrast",), (2,), threads=1, workers=0
    )
    suite = load("imagenet-c-live")
    live = shifts(suite)["contrast/2"].build(tmp_path)
    stored = in_class_folders(made / "contrast" / "2")
    assert stored.ids.tolist() == live.ids.tolist() == [1, 293]
    assert stored.labels.tolist() == live.labels.tolist()
    assert (stored.load().fetch(torch.arange(2)) / 255 - live.batch(torch.arange(2))[0]).abs().max() < 3 / 255


def test_corrupted_images_are_not_written_among_clean_ones(flatqat, tmp_path: Path) -> None:
    files.flat_val(tmp_path, {1: 65})
    clean = tmp_path / "imagenet" / "val"
    before = sorted(tmp_path.rglob("*"))
    for to in (clean, clean / "out", clean.parent, clean / ".." / "val"):
        done = flatqat("suites", "generate", "imagenet-c", "--from", clean, "--to", to)
        assert_one_line_error(done, "--to: expected a folder beside that of the clean images")
    assert sorted(tmp_path.rglob("*")) == before


def test_images_to_generate_from_must_be_there(tmp_path: Path) -> None:
    file = tmp_path / "val.tar"
    file.touch()
    for source, got in ((tmp_path / "val", "none"), (file, "a file")):
        with pytest.raises(DataError, match=f"expected a folder of .* images, got {got}; check --from"):
            clean.corruptible(source)


def test_the_doctor_tells_parts_of_a_set_from_none(root: Path) -> None:
    from flatqat.commands.describe import diagnosis

    lines = {line.split()[0]: line for line in diagnosis(root) if line.startswith("imagenet")}
    assert "in part: ImageNet val: 12 of 50,000 images" in lines["imagenet-r"]
    assert "no data: " in lines["imagenet-3dcc"]
    assert "expected ImageNet-3DCC" in lines["imagenet-3dcc"]
