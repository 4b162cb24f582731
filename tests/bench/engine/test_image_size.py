"""Images of many sizes at another size than the suite's or the model's: in training, scores and words."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from flatqat import registry
from flatqat.bench.cell.batches import fixed_batches, training_batches
from flatqat.bench.cell.cell_cost import cost_of
from flatqat.bench.engine.train import starting_point
from flatqat.bench.plan.jobs import Job, make_plan
from flatqat.bench.plan.request import Request
from flatqat.bench.records.store import Store
from flatqat.data.images.views import eval_crop
from flatqat.errors import UsageError
from flatqat.spec import EvalTransform, Record
from tests.helpers import domain_files
from tests.helpers.plugins import registered
from tests.helpers.running import run_plan

CPU = torch.device("cpu")
SHORT = {"pretrain_steps": "1", "steps": "1", "batch_size": "6", "bn_batches": "1", "select_every": "1"}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """PACS of 98 pictures of 40x32 pixels."""
    folder = tmp_path_factory.mktemp("pacs")
    domain_files.write(folder, "PACS", width=40, height=32)
    return folder


def request_of(root: Path, results: Path = Path("none"), **recipe: object) -> Request:
    settings = {"recipe": SHORT | {name: str(value) for name, value in recipe.items()}}
    return Request(
        suites=("pacs@sketch",), methods=("fp",), bits=("4",), models=("tiny",), seeds=(0,), recipe="smoke",
        settings=settings, data_root=root, results=results, spaces=(),
    )  # fmt: skip


def job_of(root: Path, **recipe: object) -> Job:
    return make_plan(request_of(root, **recipe)).scored()[0]


@pytest.mark.parametrize(
    ("frame", "size", "expected"),
    [
        (EvalTransform(resize=256, crop=224), 112, EvalTransform(resize=128, crop=112)),
        (EvalTransform(resize=232, crop=224), 96, EvalTransform(resize=99, crop=96)),
        (
            EvalTransform(resize=224, crop=224, squash=True, interpolation="bicubic"),
            96,
            EvalTransform(resize=96, crop=96, squash=True, interpolation="bicubic"),
        ),
    ],
)
def test_a_scaled_transform_shows_the_same_part_of_an_image(frame, size, expected):
    assert frame.scaled(size) == expected
    assert frame.scaled(frame.crop) == frame


def test_every_image_that_a_job_sees_has_this_size(root):
    job = job_of(root, image_size=24)
    model = starting_point(replace(job, parent=None), Store(Path("none")))
    data = job.suite.train(root)
    frame = model.eval_transform
    assert frame == EvalTransform(resize=24, crop=24, squash=True)
    ((trained, _),) = training_batches(job, data, 1, CPU, eval_transform=frame)
    ((fixed, _),) = fixed_batches(job, data, "calibration", 1, CPU, frame)
    assert trained.shape[2:] == fixed.shape[2:] == (24, 24)
    scored = job.suite.shifts[1].build(root).transformed(eval_crop(frame))
    assert scored.fetch(torch.arange(2)).shape[2:] == (24, 24)
    assert cost_of(job.cell, job.suite, root).total().image == (24, 24)


def run(root: Path, results: Path, **recipe: object) -> Record:
    (record,) = run_plan(make_plan(request_of(root, results, **recipe)))
    assert record.status == "done", record.reason
    return record


def test_a_run_says_it_and_is_another_cell(root, tmp_path):
    small = run(root, tmp_path, image_size=24)
    assert small.protocol.recipe.image_size == 24
    begin = "24 pixels in place of 224: resized to 24x24 (bilinear, antialiased), no crop; mean"
    assert small.protocol.preprocessing.startswith(begin)
    assert small.cost is not None
    assert small.cost.image == (24, 24)
    usual = job_of(root)
    assert usual.cell.id == job_of(root, image_size=0, select_images=0).cell.id
    assert usual.cell.training_id != small.cell.training_id
    assert usual.cell.preprocessing == job_of(root, image_size=224).cell.preprocessing.partition(": ")[2]
    assert "image_size" not in usual.cell.to_dict()["recipe_args"]


def test_a_model_of_a_fixed_size_is_refused(root, tmp_path):
    pytest.importorskip("timm")
    request = replace(request_of(root, tmp_path, image_size=96), models=("timm:vit_tiny_patch16_224",))
    with pytest.raises(UsageError, match=r"\(3, 96, 96\), got: .*96.*224.*; leave out recipe.image_size, or"):
        run_plan(make_plan(request))
    assert not list(tmp_path.iterdir())


def test_images_that_come_at_one_size_are_refused(root, tmp_path):
    with pytest.raises(
        UsageError, match=r"^recipe.image_size: expected none, since images of toy come at one"
    ):
        make_plan(replace(request_of(root, image_size=24), suites=("toy",), recipe="default"))
    family = registry.load(registry.SUITES, "pacs")
    stored = family.shifts[1]
    of_one_size = replace(
        stored, name="stored", build=lambda root: stored.build(root).transformed(eval_crop(EvalTransform()))
    )
    # as a suite of corrupted copies at 224 pixels beside clean images of any size
    suite = replace(family, name="mixed", member=None, shifts=(family.shifts[0], of_one_size))
    with registered(registry.SUITES, "mixed", suite):
        request = replace(request_of(root, tmp_path, image_size=24), suites=("mixed",))
        with pytest.raises(UsageError, match="since mixed has images that come at one size, got 24"):
            run_plan(make_plan(request))


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("image_size", "-1", "at least 0"),
        ("image_size", "4097", "at most 4096"),
        ("select_images", "-1", "at least 0"),
        ("image_size", "big", "a whole number"),
    ],
)
def test_values_that_cannot_be_are_answered(root, setting, value, said):
    with pytest.raises(UsageError, match=rf"recipe\.{setting}: expected {said}"):
        job_of(root, **{setting: value})


def test_images_to_select_on_need_steps_to_select_at(root):
    with pytest.raises(
        UsageError, match=r"recipe\.select_images: expected none without recipe\.select_every"
    ):
        job_of(root, select_every=0, select_images=5)


def test_records_from_before_are_read_and_written_as_they_were(root, tmp_path):
    record = run(root, tmp_path, image_size=0)
    plain = record.to_dict()
    assert not {"image_size", "select_images"} & plain["protocol"]["recipe"].keys()
    assert Record.from_dict(plain) == record
    small = replace(record.protocol.recipe, image_size=24)
    other = replace(record, protocol=replace(record.protocol, recipe=small))
    assert Record.from_dict(other.to_dict()) == other
