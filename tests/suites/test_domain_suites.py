"""The five families of left-out domains: what they name, what they load, and a whole run on a made PACS."""

import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from flatqat.bench.plan.jobs import make_plan, members
from flatqat.bench.plan.request import Request
from flatqat.bench.records.paired import outcomes_of
from flatqat.bench.records.sections import sections
from flatqat.bench.records.store import Store
from flatqat.bench.report.families import by_domain, merged
from flatqat.data.images.views import eval_crop
from flatqat.data.tensors.image_data import ImageData
from flatqat.errors import UsageError
from flatqat.models.base import build
from flatqat.spec import EvalTransform
from flatqat.suite import Suite
from flatqat.testing import suites as suite_checks
from tests.helpers import domain_files
from tests.helpers.loading import imported_by_verifying, load
from tests.helpers.running import run_plan

FAMILIES = {"pacs": 4, "vlcs": 4, "officehome": 4, "terraincognita": 4, "domainnet": 6}
CPU = torch.device("cpu")
Command = Callable[..., SimpleNamespace]


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """PACS of 98 tiny images."""
    folder = tmp_path_factory.mktemp("pacs")
    domain_files.write(folder, "PACS")
    return folder


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_stands_for_a_suite_a_domain(name: str) -> None:
    family = load(name)
    assert family.name == name
    assert len(family.targets) == FAMILIES[name]
    found = members(name, 1)
    assert [suite.name for suite in found] == [f"{name}@{target}" for target in family.targets]
    assert {suite.family for suite in (family, *found)} == {name}
    for suite, target in zip(found, family.targets, strict=True):
        assert [shift.name for shift in suite.shifts] == ["id", target, "oracle", f"{target}_out"]
        assert [shift.name for shift in suite.shifts if shift.in_mean] == ["id", target]
        assert [shift.name for shift in suite.shifts if shift.weights == "last"] == ["oracle"]
        assert suite.split == "-s1"
        assert suite.targets == family.targets
        assert suite.protocol == family.protocol
    (only,) = members(f"{name}@{family.targets[-1]}", 0)
    assert only.name == f"{name}@{family.targets[-1]}"
    suite_checks.suite_members_are_those_of_its_targets(family)


def test_an_unknown_target_lists_the_choices() -> None:
    with pytest.raises(UsageError, match=r"unknown target of pacs 'sketches'.*did you mean 'sketch'"):
        members("pacs@sketches", 0)
    with pytest.raises(UsageError, match="expected no target"):
        members("digits-c@sketch", 0)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_default_recipe_is_that_of_swads_domainbed(name: str) -> None:
    suite = load(name)
    assert suite.default_recipe == "default"
    recipe = suite.recipes["default"]
    assert (recipe.optimizer, recipe.lr, recipe.weight_decay) == ("adam", 5e-5, 0)
    assert (recipe.schedule, recipe.frozen_batchnorm) == ("constant", True)
    long = name == "domainnet"
    assert (recipe.steps, recipe.select_every) == ((15_001, 1000) if long else (5001, 200))
    assert recipe.batch_size == 32 * (FAMILIES[name] - 1)
    assert suite.default_model == "torchvision:resnet50"
    assert suite.new_head
    assert f"{recipe.steps} steps" in suite.protocol


def test_domainnet_tells_of_its_duplicates() -> None:
    assert "duplicates" in load("domainnet").protocol
    assert "duplicates" not in load("pacs").protocol


def test_members_travel_to_other_processes() -> None:
    suite = load("pacs").member("photo", 2)  # type: ignore[misc]
    again = pickle.loads(pickle.dumps(suite))
    assert again.shifts[1].build.keywords == suite.shifts[1].build.keywords


def test_every_model_sees_whole_images_of_224_pixels(root: Path) -> None:
    """Whatever its own frame: 10x8 pixels squashed to a square."""
    suite = load("pacs").member("sketch", 0)  # type: ignore[misc]
    model = build("tiny", classes=7, seed=0, eval_transform=suite.eval_transform)
    assert model.preprocessing.startswith("resized to 224x224 (bilinear, antialiased), no crop")
    images, _ = suite.val(root).transformed(eval_crop(model.eval_transform)).batch(torch.arange(3))
    assert images.shape == (3, 3, 224, 224)
    assert build("tiny", classes=7, seed=0).eval_transform.squash is False


def test_training_images_are_windows_and_differ_from_epoch_to_epoch(root: Path) -> None:
    suite = load("pacs").member("sketch", 0)  # type: ignore[misc]
    assert suite.train_transform is not None
    assert suite.augment is not None
    data = suite.train(root)
    first, second = (
        data.transformed(suite.train_transform(suite.eval_transform, seed)).batch(torch.arange(4))[0]
        for seed in (0, 1)
    )
    assert first.shape == second.shape == (4, 3, 224, 224)
    assert not torch.equal(first, second)
    changed = suite.augment(first, torch.Generator().manual_seed(0))
    assert changed.shape == first.shape
    assert ((changed - first).abs().amax((1, 2, 3)) > 0).all()
    assert 0 <= changed.min() <= changed.max() <= 1


def test_images_of_the_target_never_train_and_never_choose(root: Path) -> None:
    for suite in members("pacs", 0):
        seen = {*suite.train(root).ids.tolist(), *suite.val(root).ids.tolist()}
        id_, target, oracle, out = (shift.build(root) for shift in suite.shifts)
        assert torch.equal(id_.ids, suite.val(root).ids)
        assert torch.equal(target.ids, oracle.ids)
        assert not seen & {*target.ids.tolist(), *out.ids.tolist()}
        assert len(seen) + len(target) + len(out) == 98


def test_an_id_stands_for_one_image_in_all_splits(root: Path) -> None:
    suite_checks.suite_ids_stand_for_images(load("pacs"), root)


def counted(data: ImageData) -> ImageData:
    """Images that are numbered in each split anew."""
    return replace(data, ids=torch.arange(len(data)))


def from_the_last(data: ImageData) -> ImageData:
    """Images of one set that have the ids of another set."""
    return replace(data, ids=97 - torch.arange(len(data)))


def of_its_target(data: ImageData) -> ImageData:
    """Images that have other ids where another domain is left out."""
    return replace(data, ids=data.ids.flip(0))


@pytest.mark.parametrize(
    ("number", "targets", "other", "message"),
    [
        (1, slice(None), counted, "pacs@art_painting, art_painting.*: .*everywhere, got another image"),
        (
            3,
            slice(None),
            from_the_last,
            "pacs@art_painting, art_painting_out: .*everywhere, got another image",
        ),
        (0, slice(1, None), of_its_target, "pacs@cartoon, id: .*everywhere, got another image"),
    ],
)
def test_ids_that_stand_for_another_image_elsewhere_are_refused(
    root: Path, number: int, targets: slice, other: Callable[[ImageData], ImageData], message: str
) -> None:
    family = load("pacs")

    def with_other_ids(target: str, seed: int) -> Suite:
        member = family.member(target, seed)  # type: ignore[misc]
        if target not in family.targets[targets]:
            return member
        shifts = list(member.shifts)
        build = shifts[number].build
        shifts[number] = replace(shifts[number], build=lambda data_root: other(build(data_root)))
        return replace(member, shifts=tuple(shifts))

    with pytest.raises(AssertionError, match=message):
        suite_checks.suite_ids_stand_for_images(replace(family, member=with_other_ids), root)


def test_verifying_imports_no_torch(root: Path) -> None:
    assert len(load("pacs").verify(root)) >= 5
    assert "torch" not in imported_by_verifying(["pacs"], root)


def test_the_command_on_one_target(flatqat: Command, root: Path, tmp_path: Path) -> None:
    recipe = ("bn_batches=1", "pretrain_steps=2", "select_every=2", "steps=4")
    done = flatqat(
        "bench", "run", "--suite", "pacs@sketch", "--model", "tiny", "--method", "fp,qat", "--bits", "4",
        "--recipe", "smoke", *(part for setting in recipe for part in ("--set", f"recipe.{setting}")),
        "--no-flatness", "--seeds", "1", "--data-root", root, "--results", tmp_path,
    )  # fmt: skip
    assert done.code == 0, done.err
    assert f"pacs v1 · tiny · recipe smoke · {' · '.join(recipe)}" in done.out
    assert "sketch" in done.out
    assert "pacs: sketch: expected 3,929 images, got 28" in done.err
    records = Store(tmp_path).records("pacs")
    assert [record.status for record in records] == ["done", "done"]
    for record in records:
        assert record.train.selection["step"] in (2, 4)
        assert record.protocol.preprocessing.startswith("resized to 224x224")
        assert "pretrain" in record.protocol.parent
        assert {shift: record.scores[shift]["top1"].n for shift in record.scores} == {
            "val": 13, "id": 13, "sketch": 23, "oracle": 23, "sketch_out": 5,
        }  # fmt: skip
        member = load("pacs").member("sketch", record.cell.seed)  # type: ignore[misc]
        ids = outcomes_of(record, Store(tmp_path)).ids
        for shift in member.scored:
            assert ids[shift.name].tolist() == shift.build(root).ids.tolist()


def test_the_whole_family_with_two_seeds(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every member trains, and each seed on a split of its own."""
    monkeypatch.setattr(
        "flatqat.suites._domains.EVAL_TRANSFORM", EvalTransform(resize=48, crop=48, squash=True)
    )
    short = {"pretrain_steps": "2", "steps": "2", "select_every": "1", "batch_size": "6", "bn_batches": "1"}
    request = Request(
        suites=("pacs",), methods=("fp", "qat"), bits=("4",), models=("tiny",), seeds=(0, 1), recipe="smoke",
        settings={"recipe": short}, data_root=root, results=tmp_path, spaces=(),
    )  # fmt: skip
    records = run_plan(make_plan(request))
    assert len(records) == 4 * 2 * 2
    assert all(record.status == "done" for record in records)
    assert len({record.protocol.data for record in records}) == 8
    assert sorted(path.name for path in (tmp_path / "data").iterdir())[:2] == [
        "pacs@art_painting-s0.json",
        "pacs@art_painting-s1.json",
    ]
    (family,) = merged(sections(records))
    table = by_domain(family, Store(tmp_path))
    assert table["domain"].tolist() == 2 * [*load("pacs").targets, "mean"]
    assert (table["seeds"] == 2).all()
