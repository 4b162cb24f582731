"""The corruption suites: what they name, what they load, and that importing them is free."""

import pickle
from pathlib import Path

import pytest
import torch

from flatqat.data.corruptions.names import NAMES
from flatqat.data.tensors.image_data import ImageData
from flatqat.suite import Shift, Suite
from flatqat.testing import suites as suite_checks
from tests.helpers.loading import imported_by_verifying, load

CIFAR = ("cifar10-c", "cifar10-c-live", "cifar100-c", "cifar100-c-live")
ALL = (*CIFAR, "digits-c")
EXTRA = {"speckle_noise", "gaussian_blur", "spatter", "saturate"}
DIGITS = [name for name in NAMES if name not in EXTRA and name != "jpeg_compression"]


def shift(suite: Suite, name: str) -> Shift:
    return next(shift for shift in suite.shifts if shift.name == name)


def everything(data: ImageData, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    images, labels = zip(*data.batches(size), strict=True)
    return torch.cat(images), torch.cat(labels)


@pytest.mark.parametrize("name", ALL)
def test_shifts_are_named_after_corruption_and_severity(name: str) -> None:
    suite = load(name)
    assert suite.name == name
    corruptions = [corruption for corruption in NAMES if name != "digits-c" or corruption in DIGITS]
    assert [shift.name for shift in suite.shifts[1:]] == [
        f"{corruption}/{severity}" for corruption in corruptions for severity in range(1, 6)
    ]
    assert {shift.image_set for shift in suite.shifts} == {"id"}
    for shift in suite.shifts[1:]:
        corruption, severity = shift.name.split("/")
        assert (shift.family, shift.severity) == (NAMES[corruption], int(severity))


@pytest.mark.parametrize("name", ALL)
def test_the_headline_is_the_fifteen_or_of_digits_fourteen(name: str) -> None:
    shifts = load(name).shifts[1:]
    assert len([shift for shift in shifts if shift.in_mean]) == (70 if name == "digits-c" else 75)
    assert {shift.name.split("/")[0] for shift in shifts if not shift.in_mean} <= EXTRA


@pytest.mark.parametrize("name", ALL)
def test_recipes_start_with_the_default(name: str) -> None:
    suite = load(name)
    assert suite.default_recipe == "default"
    assert "smoke" in suite.recipes


@pytest.mark.parametrize("name", CIFAR)
def test_the_suites_of_cifar_differ_in_their_classes(name: str) -> None:
    suite = load(name)
    assert suite.classes == (100 if name.startswith("cifar100") else 10)
    assert (suite.metric, suite.default_model) == ("top1", "cifar:resnet20")
    assert suite.recipes == load("cifar10-c").recipes


def test_protocols_differ() -> None:
    assert len({load(name).protocol for name in ALL}) == len(ALL)


@pytest.mark.parametrize("name", CIFAR)
def test_shifts_travel_to_other_processes(name: str) -> None:
    suite = load(name)
    again = pickle.loads(pickle.dumps(suite.shifts))
    assert again[7].build.keywords == suite.shifts[7].build.keywords


def test_verifying_imports_no_torch(tmp_path: Path) -> None:
    assert "torch" not in imported_by_verifying(ALL, tmp_path)


@pytest.mark.parametrize("name", ALL)
def test_augmented_images_stay_images(name: str) -> None:
    augment = load(name).augment
    assert augment is not None
    x = torch.rand(64, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    got = augment(x, torch.Generator().manual_seed(0))
    assert got.shape == x.shape
    assert not torch.equal(got, x)
    assert torch.equal(got, augment(x, torch.Generator().manual_seed(0)))
    assert 0 <= got.min() <= got.max() <= 1


def test_digits_are_never_mirrored() -> None:
    augment = load("digits-c").augment
    assert augment is not None
    ramp = torch.arange(1.0, 33).expand(64, 3, 32, 32)
    inner = augment(ramp, torch.Generator().manual_seed(0))[:, :, 2:-2, 2:-2]
    assert (inner.diff(dim=3) == 1).all()


def test_digits_meet_the_contract_of_suites() -> None:
    suite_checks.suite_data_is_consistent(load("digits-c"))


def test_digits_need_no_folder() -> None:
    suite = load("digits-c")
    assert [finding.ok for finding in suite.verify(None)] == [True]
    sizes = [len(build(None)) for build in (suite.train, suite.val, suite.shifts[0].build)]
    assert sizes == [1100, 397, 300]


@pytest.mark.parametrize("corruption", DIGITS)
def test_live_corruptions_depend_on_the_image_and_not_on_the_batch(corruption: str) -> None:
    suite = load("digits-c")
    clean = suite.shifts[0].build(None).sample(40)
    data = shift(suite, f"{corruption}/3").build(None).sample(40)
    images, labels = everything(data, size=40)
    assert torch.equal(images, everything(data, size=7)[0])
    backwards = data.subset(torch.arange(39, -1, -1))
    assert torch.equal(images, everything(backwards, size=16)[0].flip(0))
    original, same_labels = everything(clean, size=40)
    assert torch.equal(labels, same_labels)
    assert ((images - original).abs().amax((1, 2, 3)) > 0).all()


def test_higher_severity_is_further_from_the_clean_images() -> None:
    """On average over the corruptions; fog and elastic distort at random."""
    suite = load("digits-c")
    clean, _ = everything(suite.shifts[0].build(None).sample(20), size=20)
    distance = torch.zeros(5)
    for found in suite.shifts[1:]:
        assert found.severity is not None
        images, _ = everything(found.build(None).sample(20), size=20)
        distance[found.severity - 1] += (images - clean).square().mean()
    assert (distance.diff() > 0).all()


def test_live_cifar(shared: Path) -> None:
    suite = load("cifar10-c-live")
    root = shared / "data"
    clean, labels = everything(suite.shifts[0].build(root).sample(32), size=32)
    for found in suite.shifts:
        if found.severity == 2:
            images, same = everything(found.build(root).sample(32), size=32)
            assert torch.equal(same, labels)
            assert images.shape == clean.shape
            assert 0.001 < (images - clean).abs().mean() < 0.4


def test_results_are_tied_to_the_pictures_of_ice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Live corruptions with other pictures are other data; the official files are made with nothing."""
    from flatqat.bench.cell.same_images import fingerprint_of
    from flatqat.data.corruptions import photographs

    suite = load("digits-c")
    assert suite.made_with() == "frost from procedural textures"
    assert load("cifar10-c").made_with() == load("imagenet-c").made_with() == ""
    before = fingerprint_of(suite, None)
    monkeypatch.setattr(photographs, "in_use", lambda: "photographs 12345678")
    assert suite.made_with() == load("imagenet-c-live").made_with() == "frost from photographs 12345678"
    assert fingerprint_of(suite, None) != before


def test_three_severities_are_those_of_the_whole_suite() -> None:
    some, whole = load("cifar10-c-live-135"), load("cifar10-c-live")
    kept = [s for s in whole.shifts if s.name == "id" or (s.in_mean and s.severity in (1, 3, 5))]
    assert len(kept) == 1 + 15 * 3
    assert [s.info for s in some.shifts] == [s.info for s in kept]
    assert [s.name for s in some.shifts] == [s.name for s in kept]
