"""Suites of system noise: their shifts, that ID is as in other suites, and what they need on disk."""

import builtins
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from flatqat.data.images.views import eval_crop
from flatqat.errors import DataError
from flatqat.spec import EvalTransform
from flatqat.testing import suites as suite_checks
from tests.helpers import domain_files, imagenet_files
from tests.helpers.loading import imported_by_verifying, load, stops

COUNTS = {
    "sysnoise": {"decoder": 3, "resize": 11, "color": 4, "crop": 4},
    **{
        f"sysnoise-{name}": {"decoder": 3, "resize": 11, "color": 4, "crop": 1}
        for name in ("pacs", "officehome", "vlcs", "terraincognita", "domainnet")
    },
    "sysnoise-cifar10": {"resize": 11, "color": 4},
    "sysnoise-cifar100": {"resize": 11, "color": 4},
    "sysnoise-streets": {"resize": 11, "color": 4},
}
BASES = {
    "sysnoise": "imagenet-v2",
    "sysnoise-cifar10": "cifar10-c-live",
    "sysnoise-cifar100": "cifar100-c-live",
    "sysnoise-streets": "streets",
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = imagenet_files.val(tmp_path_factory.mktemp("noisy"))
    domain_files.write(root, "PACS", images=5, width=40, height=32)
    return root


@pytest.mark.parametrize("name", COUNTS)
def test_shifts_are_the_id_images_without_severities(name: str) -> None:
    suite = load(name)
    suite_checks.suite_members_are_those_of_its_targets(suite)
    families = [shift.family for shift in suite.shifts[1:]]
    assert {family: families.count(family) for family in dict.fromkeys(families)} == COUNTS[name]
    assert {(shift.image_set, shift.in_mean, shift.severity) for shift in suite.shifts} == {
        ("id", True, None)
    }


@pytest.mark.parametrize("name", BASES)
def test_training_is_that_of_another_suite(name: str) -> None:
    suite, base = load(name), load(BASES[name])
    for field in ("recipes", "default_model", "sizes_vary", "eval_transform", "classes", "metric"):
        assert getattr(suite, field) == getattr(base, field), field
    assert suite.protocol != base.protocol


def test_id_is_what_each_model_asks_for(root: Path) -> None:
    """For the transform that imagenet-c-live uses for every model, its pixels; label and order as there."""
    suite, live = load("sysnoise"), load("imagenet-c-live")
    clean, theirs = suite.shifts[0].build(root), live.shifts[0].build(root)
    index = torch.arange(len(theirs))
    ours = clean.transformed(eval_crop(EvalTransform())).batch(index)
    assert all(map(torch.equal, ours, theirs.batch(index)))
    other = clean.transformed(eval_crop(EvalTransform(resize=40, crop=32))).batch(index)[0]
    assert other.shape[2:] == (32, 32)
    assert suite.eval_transform is None


@pytest.mark.parametrize("name", ["sysnoise", "sysnoise-pacs"])
def test_every_shift_loads_the_same_images_in_the_same_order(name: str, root: Path) -> None:
    pytest.importorskip("simplejpeg", reason="the extra `fast` is not installed")
    suite = load(name)
    view = eval_crop(suite.eval_transform or EvalTransform(resize=40, crop=32))
    clean = suite.shifts[0].build(root).sample(4)
    for shift in suite.shifts[1:]:
        data = shift.build(root).sample(4)
        assert torch.equal(data.ids, clean.ids)
        assert torch.equal(data.labels, clean.labels)
        images, _ = data.transformed(view).batch(torch.arange(4))
        assert images.shape == clean.transformed(view).batch(torch.arange(4))[0].shape


def test_noise_of_real_photos(shared: Path) -> None:
    """Every shift changes some pixel of eight photos, and few by much. Their short side is 256."""
    pytest.importorskip("simplejpeg", reason="the extra `fast` is not installed")
    suite, view = load("sysnoise"), eval_crop(EvalTransform(resize=232))

    def images(build: Callable[[Path], Any]) -> torch.Tensor:
        data = build(shared / "data").sample(8).transformed(view)
        return 255 * data.batch(torch.arange(8))[0]

    clean = images(suite.shifts[0].build)
    for shift in suite.shifts[1:]:
        off = (images(shift.build) - clean).abs()
        assert 0 < off.mean() < (20 if shift.family in ("resize", "crop") else 3), shift.name


def test_streets_meet_the_contract_and_keep_their_label_maps() -> None:
    suite = load("sysnoise-streets")
    suite_checks.suite_data_is_consistent(suite)
    sets = [shift.build(None).batch(torch.tensor([0, 9])) for shift in suite.shifts]
    for images, labels in sets[1:]:
        assert torch.equal(labels, sets[0][1])
        assert not torch.equal(images, sets[0][0])


def test_domains_are_all_trained_on(root: Path) -> None:
    suite = load("sysnoise-pacs")
    train, scored = suite.train(root), suite.shifts[0].build(root)
    assert not {*train.ids.tolist()} & {*scored.ids.tolist()}
    assert train.groups is not None
    assert len(train.groups.unique()) == len(scored.groups.unique()) == 4
    assert len(train) + len(scored) == 7 * 2 * (5 + 6)
    assert (suite.targets, suite.member, suite.split) == ((), None, "")


@pytest.mark.parametrize("name", ["sysnoise", "sysnoise-pacs"])
def test_the_library_of_decoders_is_named_and_needed(
    name: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    simplejpeg = pytest.importorskip("simplejpeg", reason="the extra `fast` is not installed")
    suite = load(name)
    assert suite.made_with().startswith("fast JPEG decoding by simplejpeg ")
    assert simplejpeg
    assert not stops(name, root)
    importing = builtins.__import__

    def without(module: str, *args: Any, **options: Any) -> Any:
        if module == "simplejpeg":
            raise ImportError(module)
        return importing(module, *args, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    (found,) = stops(name, root)
    assert found.what == "expected simplejpeg, which decodes the shifts of the family decoder, got none"
    assert "pip install 'flatqat[fast]'" in found.fix
    data = suite.shifts[1].build(root)
    with pytest.raises(DataError, match="expected simplejpeg"):
        data.fetch(torch.tensor([0]))


@pytest.mark.parametrize("name", ["sysnoise", "sysnoise-pacs"])
def test_data_that_is_missing_or_damaged_stops_a_run(name: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert stops(name, tmp_path / "empty")
    root = imagenet_files.val(tmp_path / "made")
    domain_files.write(root, "PACS")
    file = next((root / ("PACS/photo" if "pacs" in name else "imagenet/val")).rglob("*.[jJ]*"))
    file.write_bytes(file.read_bytes()[:-40])
    assert any(file.name in finding.what for finding in stops(name, root))


def test_verifying_imports_no_torch(root: Path) -> None:
    assert "torch" not in imported_by_verifying(["sysnoise", "sysnoise-pacs"], root)
