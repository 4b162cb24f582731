"""Which step is kept: the best on `val`, without disturbing training. Batches draw from all groups."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from sklearn.metrics import jaccard_score

from flatqat import registry
from flatqat.bench.cell.batches import training_batches
from flatqat.bench.cell.restore import restore
from flatqat.bench.engine.checkpoint_selection import Selection
from flatqat.bench.plan.jobs import make_plan
from flatqat.bench.plan.request import Request
from flatqat.bench.records.store import Store
from flatqat.data.tensors.image_data import ImageData
from flatqat.errors import UsageError
from flatqat.models.base import Normalized, build
from flatqat.spec import EvalTransform, Record
from tests.helpers import HELPERS
from tests.helpers.running import run_plan, session_of

CPU = torch.device("cpu")

PEAKED = '''"""A rule that learns for half of its steps and then unlearns."""

from flatqat.methods.fp import FullPrecision


class Peaked(FullPrecision):
    def gradient(self, x, y):
        logs = super().gradient(x, y)
        if self.steps_done >= 6:
            for p in self.model.parameters():
                p.grad.mul_(-20)
        return logs


METHOD = Peaked
'''


DYING = '''"""QAT whose last step leaves nothing but a tiny weight in each layer."""

from flatqat.methods.qat import QAT
from flatqat.quant.apply import latent_weights


class Dying(QAT):
    def step(self, x, y):
        logs = super().step(x, y)
        if self.steps_done == self.total_steps:
            for w, _ in latent_weights(self.model).values():
                w.data.zero_().view(-1)[0] = 1e-6
        return logs


METHOD = Dying
'''


@pytest.fixture(autouse=True)
def family(toy: None) -> None:
    registry.add_plugin(HELPERS / "toy_family.py")


def go(results: Path, method: str = "fp", seeds: tuple[int, ...] = (0,), **recipe: object) -> list[Record]:
    request = Request(
        suites=("toy-family@plain",),
        methods=(method,),
        bits=("4",),
        seeds=seeds,
        settings={"recipe": {name: str(value) for name, value in recipe.items()}},
        results=results,
        spaces=(),
    )
    return run_plan(make_plan(request))


def weights(results: Path, record: Record, which: str = "selected") -> dict[str, torch.Tensor]:
    return load_file(Store(results).weights_path(record.cell, which))


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture
def peaked(tmp_path: Path) -> str:
    path = tmp_path / "peaked.py"
    path.write_text(PEAKED)
    registry.add_plugin(path)
    return "peaked"


def test_the_best_step_in_the_middle_is_kept(tmp_path: Path, peaked: str) -> None:
    """Its weights are those of a training that ends there, and the last ones are kept too."""
    (record,) = go(tmp_path, peaked, steps=12, select_every=3)
    chosen = record.train.selection
    val = {int(step): score for step, score in chosen["val_top1"].items()}
    assert sorted(val) == [3, 6, 9, 12]
    assert chosen["step"] == max(val, key=lambda step: val[step]) in (3, 6)
    assert record.scores["val"]["top1"].value == pytest.approx(val[chosen["step"]], abs=1e-3)
    (short,) = go(tmp_path / "short", peaked, steps=chosen["step"], select_every=0)
    assert same(weights(tmp_path, record), weights(tmp_path / "short", short))
    assert not same(weights(tmp_path, record), weights(tmp_path, record, "last"))
    assert record.scores["oracle"]["top1"].value < record.scores["plain"]["top1"].value - 10


def test_the_audit_is_of_the_step_that_is_kept(tmp_path: Path) -> None:
    """A network whose last step leaves a single code in a layer is no failure where another is deployed."""
    path = tmp_path / "dying.py"
    path.write_text(DYING)
    registry.add_plugin(path)
    (record,) = go(tmp_path, "dying", steps=4, select_every=3)
    assert record.status == "done"
    assert record.train.selection["step"] == 3
    assert record.train.audit["most_codes"]["4"] > 1
    last, kept = weights(tmp_path, record, "last"), weights(tmp_path, record)
    assert not same(last, kept)


@pytest.mark.parametrize("method", ["fp", "qat", "anchor"])
def test_looking_does_not_disturb_training(tmp_path: Path, method: str) -> None:
    (looked,) = go(tmp_path / "looked", method, select_every=2)
    (plain,) = go(tmp_path / "plain", method, select_every=0)
    assert same(weights(tmp_path / "looked", looked, "last"), weights(tmp_path / "plain", plain))
    deployed = {name: score for name, score in plain.scores["plain"].items() if name != "auroc"}
    assert plain.scores["oracle"] == deployed
    assert looked.scores["oracle"] == deployed


def test_the_shift_of_the_last_weights_is_scored_with_them(tmp_path: Path, peaked: str) -> None:
    (record,) = go(tmp_path, peaked, steps=12, select_every=3)
    suite = registry.load(registry.SUITES, "toy-family").member("plain", 0)
    for shift, which in (("plain", "selected"), ("oracle", "last")):
        model = restore(record.cell, suite, Store(tmp_path), which=which)
        data = suite.shifts[1].build(None)
        x, y = data.batch(torch.arange(len(data)))
        with torch.no_grad():
            right = (model(x).argmax(1) == y).double().mean()
        assert record.scores[shift]["top1"].value == pytest.approx(100 * float(right))


def test_the_score_is_the_mean_over_groups_and_the_earliest_best_step_wins(
    tmp_path: Path,
) -> None:
    """Of two groups of unlike size, each counts half."""
    request = Request(
        suites=("toy-family@plain",), methods=("fp",), bits=("4",), seeds=(0,), results=tmp_path
    )
    job = make_plan(request).scored()[0]
    data = job.suite.val(None)
    groups = torch.zeros(len(data), dtype=torch.long)
    groups[:5] = 7
    suite = replace(job.suite, val=lambda root: replace(data, groups=groups))
    model = build("tiny", classes=4, seed=3)
    looked = Selection(replace(job, suite=suite), None, model, session_of(request))  # type: ignore[arg-type]
    x, y = data.batch(torch.arange(len(data)))
    with torch.no_grad():
        right = (model.eval()(x).argmax(1) == y).double()
    assert looked._val_score() == pytest.approx(50 * float(right[:5].mean() + right[5:].mean()))
    looked.scores = {2: 50.0, 4: 60.0, 6: 60.0}
    assert looked.log()["step"] == 4


class RedOrNot(torch.nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.stack([torch.full_like(images[:, 0], 0.5), images[:, 0]], dim=1)


@pytest.mark.parametrize("size", [64, 5])
def test_the_score_is_the_metric_of_the_suite(
    tmp_path: Path, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """mIoU of the pooled confusion of each group, in one batch or in two."""
    monkeypatch.setattr("flatqat.bench.engine.checkpoint_selection.val_batch_size", lambda data, device: size)
    request = Request(
        suites=("toy-family@plain",), methods=("fp",), bits=("4",), seeds=(0,), results=tmp_path
    )
    pixels = torch.randint(256, (9, 4, 3, 2), generator=torch.Generator().manual_seed(0)).byte()
    pixels[:, 3] %= 2
    groups = torch.tensor([0, 3, 3, 0, 3, 3, 3, 3, 3])
    data = replace(ImageData.with_label_maps(pixels, classes=2, source="made up"), groups=groups)
    job = make_plan(request).scored()[0]
    suite = replace(job.suite, task="segmentation", classes=2, metric="miou", val=lambda root: data)
    model = Normalized(RedOrNot(), (0, 0, 0), (1, 1, 1), task="segmentation")
    looked = Selection(replace(job, suite=suite), None, model, session_of(request))  # type: ignore[arg-type]
    truth, pred = pixels[:, 3], pixels[:, 0] > 127
    each = [
        jaccard_score(truth[groups == g].flatten(), pred[groups == g].flatten(), average="macro")
        for g in (0, 3)
    ]
    assert looked._val_score() == pytest.approx(50 * sum(each))
    looked.scores = {2: 50.0}
    assert looked.log() == {"step": 2, "val_miou": {"2": 50.0}}


@pytest.mark.parametrize("batch_size", [30, 31])
def test_batches_draw_from_every_group_alike(tmp_path: Path, batch_size: int) -> None:
    """And each group goes through its images before it begins anew."""
    request = Request(
        suites=("toy-family@plain",),
        methods=("fp",),
        bits=("4",),
        seeds=(0,),
        settings={"recipe": {"batch_size": str(batch_size)}},
        results=tmp_path,
    )
    job = make_plan(request).scored()[0]
    data = job.suite.train(None)
    assert data.groups is not None
    uneven = torch.cat([(data.groups == 0).nonzero()[:, 0], (data.groups == 2).nonzero()[:40, 0]])
    data = data.subset(uneven)
    assert data.groups is not None
    where = {
        tuple(image.flatten().tolist()): at for at, image in enumerate(data.fetch(torch.arange(len(data))))
    }
    seen: dict[int, list[int]] = {0: [], 2: []}
    for images, _ in training_batches(job, data, 12, CPU, eval_transform=EvalTransform()):
        at = [where[tuple((255 * image).round().byte().flatten().tolist())] for image in images]
        assert len(at) == 30
        for group in seen:
            part = [one for one in at if int(data.groups[one]) == group]
            assert len(part) == 15
            seen[group] += part
    for group, size in ((0, 96), (2, 40)):
        epoch = size // 15 * 15
        for first in range(0, len(seen[group]) - epoch + 1, epoch):
            assert len(set(seen[group][first : first + epoch])) == epoch


def test_seeds_split_the_data_and_the_records_say_so(tmp_path: Path) -> None:
    first, second = go(tmp_path, seeds=(0, 1))
    assert first.protocol.split == "-s0"
    assert second.protocol.split == "-s1"
    assert first.protocol.data != second.protocol.data
    assert first.protocol.targets == ("dark", "plain", "light")
    assert first.protocol.shifts["oracle"].weights == "last"
    assert first.protocol.shifts["plain"].weights == "selected"


def test_a_look_may_be_at_a_part_of_val_that_is_the_same_for_all(tmp_path: Path) -> None:
    """Every score is that of the same ten images, which neither the method nor the step decides."""
    settings = {"recipe": {"select_images": "10"}}
    request = Request(suites=("toy-family@plain",), methods=("fp", "qat"), bits=("4",), seeds=(0,))
    jobs = make_plan(replace(request, settings=settings, results=tmp_path)).scored()
    data = jobs[0].suite.val(None)
    chosen = torch.randperm(len(data), generator=torch.Generator().manual_seed(0))[:10].sort().values
    x, y = data.batch(chosen)
    model = build("tiny", classes=4, seed=3)
    with torch.no_grad():
        right = (model.eval()(x).argmax(1) == y).double()
    groups = data.groups[chosen]
    expected = 100 * torch.stack([right[groups == g].mean() for g in groups.unique()]).mean().item()
    for job in jobs:
        looked = Selection(job, None, model, session_of(request))  # type: ignore[arg-type]
        assert looked._val_score() == pytest.approx(expected)
    whole = make_plan(replace(request, results=tmp_path)).scored()[0]
    everything = Selection(whole, None, model, session_of(request))  # type: ignore[arg-type]
    assert everything._val_score() != pytest.approx(expected)


def test_a_batch_without_an_image_of_each_source_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"batch_size: expected at least 2 for toy-family@plain, .* got 1; "):
        go(tmp_path, batch_size=1)
    assert not list(tmp_path.rglob("*.safetensors"))


def test_weights_that_are_selected_again_are_those_of_the_record(tmp_path: Path) -> None:
    (first,) = go(tmp_path)
    Store(tmp_path).drop_weights(first.cell.training_id)
    (child,) = go(tmp_path, "ptq")
    assert child.status == "done"
    assert Store(tmp_path).has_weights(first.cell)
