"""Networks that are fitted to each set: by hand, whatever else is at work, and never mixed with others."""

import importlib
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from flatqat import registry
from flatqat.bench.cell.restore import restore
from flatqat.bench.engine.adapting import batches_of, fitted, fitting
from flatqat.bench.plan.jobs import Job, make_plan
from flatqat.bench.plan.request import Request
from flatqat.bench.records.sections import sections
from flatqat.bench.records.store import Store
from flatqat.data.tensors.image_data import ImageData
from flatqat.data.tensors.reading import Reader
from flatqat.errors import UsageError
from flatqat.models.base import Normalized
from flatqat.models.tiny import Tiny
from flatqat.quant.apply import calibrate, quantize_
from flatqat.spec import QuantSpec, Record
from tests.helpers.plugins import registered
from tests.helpers.running import run_plan

adapting = importlib.import_module("flatqat.bench.engine.adapting")
together = importlib.import_module("flatqat.bench.engine.together")
pieces = importlib.import_module("flatqat.bench.engine.pieces")
SUM_ORDER = 1e-5  # relative: float32, and sums over another number of images at a time


def run(folder: Path, adapt: str | None = "bn", suite: str = "toy", **changes) -> list[Record]:
    request = Request(
        suites=(suite,),
        methods=("fp", "qat"),
        bits=("3",),
        seeds=(0,),
        results=folder,
        spaces=(),
        adapt=adapt,
    )
    return run_plan(make_plan(replace(request, **changes)))


def outcomes(folder: Path, records: list[Record]) -> list[dict[str, np.ndarray]]:
    return [Store(folder).outcomes(record.cell) for record in records]


def same(one: list[dict], other: list[dict]) -> bool:
    return all(
        a.keys() == b.keys() and all(np.array_equal(a[k], b[k]) for k in a)
        for a, b in zip(one, other, strict=True)
    )


def images(count: int, seed: int, scale: float = 255.0) -> ImageData:
    generator = torch.Generator().manual_seed(seed)
    pixels = (scale * torch.rand(count, 3, 12, 12, generator=generator)).byte()
    return ImageData.in_memory(pixels, torch.zeros(count, dtype=torch.long), classes=4, source="made up")


def job_of(adapt: str, quantizer: str = "lsq") -> Job:
    """The job of a cell that is adapted; what it is fitted by hangs on nothing else."""
    request = Request(
        suites=("toy",), methods=("qat",), bits=(f"3@{quantizer}",), seeds=(0,), results=Path("none")
    )
    return make_plan(replace(request, adapt=adapt)).scored()[0]


def model_of(bits: str = "fp", seed: int = 0) -> Normalized:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = Tiny(4, width=4)
    quantize_(net, QuantSpec.parse(bits))
    model = Normalized(net, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    model.eval()
    if bits != "fp":
        calibrate(model, [images(16, seed=9).batch(torch.arange(16))[0]])
    return model


def fit(model: Normalized, job: Job, data: ImageData):
    return fitted([job], {job.cell.id: model}, data, Reader("cpu", 0), lambda job: nullcontext())


def state_of(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


class Two(nn.Module):
    """Two layers of BatchNorm, whose inputs a test can compute."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.first = nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5)
        self.linear, self.second, self.head = nn.Linear(5, 6), nn.BatchNorm1d(6), nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        pooled = F.relu(self.first(self.conv(x))).mean((2, 3))
        return self.head(self.second(self.linear(pooled)))


@torch.no_grad()
def test_statistics_are_those_of_all_images_as_torch_computes_them():
    data = images(128, seed=1)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = Two()
    model = Normalized(net, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)).eval()
    order = torch.randperm(128, generator=torch.Generator().manual_seed(0))
    seen = [net.conv((data.batch(part)[0] - 0.5) / 0.5) for part in order.split(64)]
    whole = torch.cat(seen)
    with fit(model, job_of("bn"), data):
        torch.testing.assert_close(net.first.running_mean, whole.mean((0, 2, 3)))
        within = torch.stack([v.transpose(0, 1).flatten(1).var(1) for v in seen])
        torch.testing.assert_close(net.first.running_var, within.mean(0))
        # images of a random order: what lies between two batches of 64 is a small part of all variance
        spread = whole.transpose(0, 1).flatten(1).var(1)
        torch.testing.assert_close(net.first.running_var, spread, rtol=0.01, atol=0)
        deeper = []
        for v in seen:
            mean = v.mean((0, 2, 3), keepdim=True)
            std = (v.var((0, 2, 3), keepdim=True, correction=0) + net.first.eps).sqrt()
            deeper.append(net.linear(F.relu((v - mean) / std).mean((2, 3))))
        torch.testing.assert_close(net.second.running_mean, torch.cat(deeper).mean(0))
        torch.testing.assert_close(net.second.running_var, torch.stack([d.var(0) for d in deeper]).mean(0))
        assert not any(module.training for module in net.modules())


@pytest.mark.parametrize(
    ("count", "size", "sizes"),
    [(200, 12, [67, 67, 66]), (127, 12, [127]), (63, 12, [63]), (5, 2048, [3, 2]), (1, 12, [1])],
)
def test_batches_have_every_image_once_and_sizes_that_differ_by_one(count, size, sizes):
    one = torch.zeros(1, 3, size, size, dtype=torch.uint8)
    data = replace(images(count, seed=0), fetch=lambda index: one.expand(len(index), -1, -1, -1))
    parts = batches_of(data)
    assert [len(part) for part in parts] == sizes
    assert sorted(torch.cat(parts).tolist()) == list(range(count))
    assert count == 1 or torch.cat(parts).tolist() != list(range(count))  # sets may be sorted by class


@pytest.mark.parametrize("quantizer", registry.names(registry.QUANTIZERS))
def test_a_fit_hangs_on_the_set_alone_and_leaves_nothing_behind(quantizer):
    model, job = model_of(f"3@{quantizer}"), job_of("bn+steps", quantizer)
    before = state_of(model)
    with torch.inference_mode():
        with fit(model, job, images(70, seed=2)):
            at_once = state_of(model)
        assert equal(state_of(model), before)
        with fit(model, job, images(70, seed=3, scale=90)):
            assert not equal(state_of(model), at_once)
        with fit(model, job, images(70, seed=2)):
            assert equal(state_of(model), at_once)
    weights = [name for name in before if "parametrizations" in name]
    assert weights
    assert all(torch.equal(at_once[name], before[name]) for name in weights)
    ranges = [name for name in before if "input_quantizer" in name]
    assert any(not torch.equal(at_once[name], before[name]) for name in ranges)


@torch.no_grad()
def test_steps_are_set_from_inputs_normalized_by_each_batch():
    """The first layer sees the images themselves, so its grid is that of a calibration on them."""
    model, data = model_of("3"), images(64, seed=4, scale=80)
    calibrated = model_of("3")
    (part,) = batches_of(data)
    calibrate(calibrated, [data.batch(part)[0]], "mse")
    first, deeper = "conv1.input_quantizer.scale", "stage3.0.input_quantizer.scale"
    expected, stored = calibrated.net.state_dict(), state_of(model.net)
    with fit(model, job_of("bn+steps"), data):
        found = state_of(model.net)
        assert torch.equal(found[first], expected[first])
        assert not torch.equal(found[first], stored[first])
        assert not torch.equal(found[deeper], stored[deeper])
    with fit(model, job_of("bn"), data):
        assert torch.equal(model.net.state_dict()[first], stored[first])


def test_a_fit_that_is_interrupted_is_undone():
    model, job = model_of("3"), job_of("bn+steps")
    before = state_of(model)
    steps = fitting(model, job)
    assert next(steps) == adapting.RANGE_BATCHES
    model.predict(torch.rand(8, 3, 12, 12))
    steps.close()
    assert equal(state_of(model), before)
    assert all(getattr(module, "observer", None) is None for module in model.modules())
    assert not any(module.training for module in model.modules())
    assert all(m.momentum == 0.1 for m in model.modules() if isinstance(m, nn.BatchNorm2d))


def changed(data: ImageData, factor: float, offset: float) -> ImageData:
    return data.map(lambda x, ids: (x.float() * factor + offset).byte())


def test_other_contrast_and_brightness_are_undone_and_the_id_set_hardly_changes(tmp_path):
    """BatchNorm behind the first convolution divides by what the contrast multiplies.

    Not to the digit: borders are padded with gray, and images are rounded to whole gray levels.
    """
    toy = registry.load(registry.SUITES, "toy")
    clean = toy.shifts[0]
    dim = replace(
        clean, name="dim", family="dim", build=lambda root: changed(clean.build(root), factor=0.3, offset=20)
    )
    suite = replace(toy, name="changed", shifts=(clean, dim))
    with registered(registry.SUITES, "changed", suite):
        plain, plain_qat = run(tmp_path, None, "changed")
        ours, ours_qat = run(tmp_path, "bn", "changed")
    for before, after in ((plain, ours), (plain_qat, ours_qat)):
        value = {r.cell.adapt: {n: s["top1"].value for n, s in r.scores.items()} for r in (before, after)}
        assert value[None]["id"] > 90
        assert value[None]["dim"] < 60
        assert value["bn"]["dim"] > value[None]["id"] - 5
        assert abs(value["bn"]["id"] - value[None]["id"]) < 5
        assert value["bn"]["val"] == value[None]["val"]


def test_scores_are_those_of_a_network_with_these_statistics(tmp_path):
    """A set is scored by the stored network; its 96 images are one batch, which normalizes itself."""
    fp, _ = run(tmp_path)
    suite = registry.load(registry.SUITES, "toy")
    data, model = suite.shifts[2].build(None), restore(fp.cell, suite, Store(tmp_path))
    x, y = data.batch(torch.arange(len(data)))
    layers = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    for layer in layers:
        layer.train().momentum = 1.0  # the batch's statistics replace the others
    with torch.no_grad():
        model.predict(x)
        right = (model.eval().predict(x).argmax(1) == y).double().mean().item()
    assert fp.scores["noise/2"]["top1"].value == pytest.approx(100 * right)
    plain = restore(fp.cell, suite, Store(tmp_path))
    with torch.no_grad():
        assert (plain.predict(x).argmax(1) == y).double().mean().item() != right


def test_neither_threads_nor_models_beside_change_a_digit(tmp_path):
    records = run(tmp_path / "one", "bn+steps")
    usual = outcomes(tmp_path / "one", records)
    assert same(usual, outcomes(tmp_path / "threads", run(tmp_path / "threads", "bn+steps", workers=2)))
    alone = [
        *run(tmp_path / "a", "bn+steps", methods=("fp",)),
        *run(tmp_path / "a", "bn+steps", methods=("qat",)),
    ]
    assert same(usual, outcomes(tmp_path / "a", alone))


@pytest.mark.slow
def test_processes_change_no_digit(tmp_path):
    usual = outcomes(tmp_path / "one", run(tmp_path / "one", "bn+steps"))
    assert same(usual, outcomes(tmp_path / "two", run(tmp_path / "two", "bn+steps", jobs=2)))


def test_the_batch_size_of_scoring_changes_last_digits_alone(tmp_path, monkeypatch):
    usual = outcomes(tmp_path / "one", run(tmp_path / "one"))
    monkeypatch.setattr(together, "scoring_batch_size", lambda data, device: 7)
    for one, other in zip(usual, outcomes(tmp_path / "7", run(tmp_path / "7")), strict=True):
        for name in one:
            np.testing.assert_allclose(one[name], other[name], rtol=SUM_ORDER, atol=SUM_ORDER, err_msg=name)


def test_it_trains_nothing_and_leaves_other_cells_as_they_are(tmp_path, monkeypatch):
    plain = run(tmp_path, None)
    files = {path: path.read_bytes() for path in tmp_path.rglob("*.*") if path.is_file()}
    monkeypatch.setattr(pieces, "train", None)  # which cannot be called
    adapted = run(tmp_path, "bn")
    assert all(record.status == "done" for record in adapted)
    for before, after in zip(plain, adapted, strict=True):
        assert after.cell.training_id == before.cell.training_id
        assert after.cell.parent == before.cell.parent
        assert after.cell.id != before.cell.id
        assert replace(after.cell, adapt=None) == before.cell
        assert before.protocol.adapt == ""
        assert "BatchNorm" in after.protocol.adapt
        assert after.train == before.train
    assert {path: path.read_bytes() for path in files} == files


def test_its_cells_have_a_table_of_their_own(tmp_path, flatqat):
    for adapt in (None, "bn", "bn+steps"):
        run(tmp_path, adapt)
    found = sections(Store(tmp_path).records())
    assert [section.title.rpartition(" · ")[2] for section in found] == [
        "recipe default", "adapted bn", "adapted bn+steps",
    ]  # fmt: skip
    assert [list(section.rows) for section in found] == [[("fp", "fp"), ("qat", "3")]] * 3
    assert ["adapted" in section.protocol for section in found] == [False, True, True]
    assert "adapted bn+steps" in flatqat("results", "list", "--results", tmp_path).out


def test_one_that_fails_while_it_is_fitted_costs_no_other(tmp_path, monkeypatch):
    set_ranges = adapting._set_ranges

    def fail(inputs, job):
        if job.cell.method == "qat":
            raise ZeroDivisionError("of its own")
        set_ranges(inputs, job)

    monkeypatch.setattr(adapting, "_set_ranges", fail)
    expected = run(tmp_path / "alone", "bn+steps", methods=("ptq",))
    _, ptq, qat = run(tmp_path / "all", "bn+steps", methods=("fp", "ptq", "qat"))
    assert (qat.status, "of its own" in qat.reason) == ("failed", True)
    assert ptq.scores == expected[0].scores


def test_a_network_without_batchnorm_is_refused(tmp_path):
    file = tmp_path / "nets.py"
    file.write_text(
        "from torch import nn\n\n\ndef make(classes):\n"
        "    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, classes))\n"
    )
    with pytest.raises(UsageError, match="--adapt bn: expected a network with BatchNorm statistics"):
        run(tmp_path, "bn", models=(f"file:{file}:make",))


def test_names_that_are_none_are_answered(flatqat):
    done = flatqat("bench", "run", "--suite", "toy", "--adapt", "BN", "--dry-run")
    assert done.code == 2
    assert "unknown value of --adapt 'BN': expected one of bn, bn+steps" in done.err


@pytest.mark.parametrize(
    "command",
    [
        ("export", "tiny-qat", "--output", "out.onnx"),
        ("sensitivity", "tiny-qat"),
        ("bench", "gallery", "tiny-qat", "--output", "page"),
    ],
    ids=lambda words: words[0],
)
def test_what_needs_one_network_refuses_its_cells(tmp_path, flatqat, command, adapted_results, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = flatqat(*command, "--results", adapted_results)
    assert done.code == 2
    assert done.err.count("\n") == 1
    assert "without --adapt" in done.err or "segmentation" in done.err
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def adapted_results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("adapted")
    run(folder, methods=("qat",), settings={"recipe": {"pretrain_steps": "2", "steps": "1"}})
    return folder
