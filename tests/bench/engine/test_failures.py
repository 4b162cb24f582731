"""A failure costs one job at most, in whatever stage: the others finish, and reruns try it again."""

import importlib
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from flatqat import registry
from flatqat.bench.plan.jobs import make_plan
from flatqat.bench.plan.request import Request
from flatqat.bench.records.store import Store
from flatqat.console.progress import PlainProgress
from flatqat.errors import UsageError
from flatqat.metrics.classification import ClassificationMeter
from flatqat.spec import Flatness
from tests.helpers.plugins import registered
from tests.helpers.running import run_plan
from tests.helpers.slow import slow

NET = """
import torch
from torch import nn

BUILT = [0]

class Net(nn.Module):
    def __init__(self, classes):
        super().__init__()
        BUILT[0] += 1
        if BUILT[0] == {build}:
            raise ZeroDivisionError("of the network's own")
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU())
        self.head = nn.Linear(8, classes)
        self.seen = 0

    def forward(self, x):
        self.seen += 1
        if {condition}:
            raise {error}
        return self.head(self.body(x).mean((2, 3)))

make = Net
"""
IN_TRAINING, IN_FLATNESS = "self.training", "torch.is_grad_enabled() and not self.training"
IN_SCORING = "torch.is_inference_mode_enabled() and self.seen == {k}"
FROM_THEN_ON = "torch.is_inference_mode_enabled() and self.seen >= {k}"
OUT_OF_MEMORY = "torch.OutOfMemoryError('CUDA out of memory')"
TRIED = "RuntimeError('not enough memory: you tried')"


@pytest.fixture
def net(tmp_path, request):
    """Writes a network that raises on a condition, under a name of its own."""

    def write(condition="False", error="ZeroDivisionError('of the network')", build=0):
        file = tmp_path / f"net_{abs(hash((condition, error, build)))}.py"
        file.write_text(NET.format(condition=condition, error=error, build=build))
        return f"file:{file}:make"

    return write


def run(results, said=None, **changes):
    fields = {
        "suites": ("toy",),
        "methods": ("fp", "qat"),
        "bits": ("3",),
        "seeds": (0,),
        "spaces": (),
        "results": results,
    }
    progress = PlainProgress(said.append) if said is not None else None
    return run_plan(make_plan(Request(**{**fields, **changes})), progress)


def by_model(records):
    """The records of the network that fails, and those of the other."""
    bad = {r.cell.method: r for r in records if r.cell.model.startswith("file:")}
    return bad, {r.cell.method: r for r in records if not r.cell.model.startswith("file:")}


@pytest.mark.parametrize(
    ("k", "error", "reason"),
    [
        (1, "ZeroDivisionError('no')", "crashed: ZeroDivisionError('no')"),
        (3, "KeyError('no')", "crashed: KeyError('no')"),
        (3, "SystemExit(3)", "crashed: SystemExit(3)"),
        (1, OUT_OF_MEMORY, "out of memory: CUDA out of memory"),
        pytest.param(1, "MemoryError()", "out of memory", marks=pytest.mark.slow),
        pytest.param(1, TRIED, "out of memory: not enough memory: you tried", marks=pytest.mark.slow),
    ],
)
def test_a_network_that_raises_in_evaluation_is_taken_out(tmp_path, net, k, error, reason):
    said = []
    models = (net(FROM_THEN_ON.format(k=k), error), "tiny")  # lack of memory is tried again
    bad, good = by_model(run(tmp_path / "r", said, models=models))
    assert [r.status for r in good.values()] == ["done", "done"]
    assert {r.status for r in bad.values()} == {"failed"}
    assert {r.reason for r in bad.values()} == {reason}
    assert all(Store(tmp_path / "r").record(r.cell) == r for r in (*bad.values(), *good.values()))
    assert ("Traceback" in "".join(said)) == reason.startswith("crashed")


def test_what_failed_in_evaluation_is_tried_again_without_training(tmp_path, net, monkeypatch):
    models = (net(IN_SCORING.format(k=2)), "tiny")
    _, good = by_model(run(tmp_path / "r", models=models))
    trained = importlib.import_module("flatqat.bench.engine.train")
    monkeypatch.setattr(trained, "starting_point", lambda *args: pytest.fail("trained again"))
    stamp = {r.cell.id: Store(tmp_path / "r").record_path(r.cell).stat().st_mtime_ns for r in good.values()}
    again, _ = by_model(run(tmp_path / "r", models=models))
    assert {r.status for r in again.values()} == {"failed"}
    assert all(
        Store(tmp_path / "r").record_path(r.cell).stat().st_mtime_ns == stamp[r.cell.id]
        for r in good.values()
    )


def test_the_numbers_of_the_others_are_those_without_it(tmp_path, net):
    _, beside = by_model(run(tmp_path / "a", models=(net(IN_SCORING.format(k=2)), "tiny")))
    _, alone = by_model(run(tmp_path / "b", models=("tiny",)))
    assert {m: r.scores for m, r in beside.items()} == {m: r.scores for m, r in alone.items()}


def test_a_network_that_lacks_memory_beside_others_is_scored_on_its_own(tmp_path, net):
    """On the third of four sets; on its own it is scored on the third and the fourth, and so goes through."""
    whole, _ = by_model(run(tmp_path / "a", models=(net(), "tiny")))
    crowded, good = by_model(run(tmp_path / "b", models=(net(IN_SCORING.format(k=3), OUT_OF_MEMORY), "tiny")))
    assert {r.status for r in (*crowded.values(), *good.values())} == {"done"}
    shares = [{s: v["top1"].n for s, v in r["fp"].scores.items()} for r in (whole, crowded)]
    assert shares[0] == shares[1]


def test_a_shift_that_raises_costs_the_cells_of_its_own_suite(tmp_path):
    def broken(images, ids):
        if torch.is_inference_mode_enabled():
            raise ZeroDivisionError("of the shift")
        return images

    suite = registry.load(registry.SUITES, "toy")
    (first, *_, last) = suite.shifts
    shifts = (first, replace(last, build=lambda root: last.build(root).map(broken)))
    with registered(registry.SUITES, "broken", replace(suite, name="broken", shifts=shifts)):
        records = run(tmp_path, suites=("broken", "toy"))
    assert [(r.cell.suite, r.status) for r in records] == [
        ("broken", "failed"), ("broken", "failed"), ("toy", "done"), ("toy", "done"),
    ]  # fmt: skip


@pytest.mark.parametrize("build", [3, 5, *slow(2, 4, 6)])
def test_a_network_whose_kth_build_fails_costs_its_own_cells(tmp_path, net, build):
    """Builds: plan, pretrain, fp, qat, and both once more for the evaluation."""
    bad, good = by_model(run(tmp_path / "r", models=(net(build=build), "tiny")))
    assert [r.status for r in good.values()] == ["done", "done"]
    expected = {
        2: ["skipped"] * 2,
        3: ["failed", "done"],
        4: ["done", "failed"],
        5: ["failed", "done"],
        6: ["done", "failed"],
    }
    assert [r.status for r in bad.values()] == expected[build]
    bad, _ = by_model(run(tmp_path / "r", models=(net(build=build), "tiny")))
    assert [r.status for r in bad.values()] == ["done", "done"], "tried again"


def test_a_network_that_raises_in_training_costs_its_own_cells(tmp_path, net):
    bad, good = by_model(run(tmp_path / "r", models=(net(IN_TRAINING), "tiny")))
    assert [r.status for r in good.values()] == ["done", "done"]
    assert all("ZeroDivisionError" in r.reason for r in bad.values())


@pytest.mark.parametrize("full", ["", "1"])
def test_the_traceback_of_a_plugin_begins_in_its_file(tmp_path, net, monkeypatch, full):
    """The lines of flatqat that lead there are shown on request."""
    monkeypatch.setenv("FLATQAT_TRACEBACK", full)
    said, model = [], net(IN_TRAINING)
    run(tmp_path / "r", said, models=(model,), methods=("fp",))
    (crash,) = (text for text in said if "Traceback" in text)
    files = [Path(line.split('"')[1]).name for line in crash.splitlines() if line.startswith('  File "')]
    own = Path(model.split(":")[1]).name
    assert own in files
    assert ("train.py" in files) == bool(full)
    assert (files[0] == own) == (not full)
    assert crash.rstrip().endswith("ZeroDivisionError: of the network")


def test_a_step_without_a_loss_costs_its_own_cells(tmp_path, monkeypatch):
    anchor = registry.load(registry.METHODS, "anchor")
    monkeypatch.setattr(anchor, "step", lambda self, x, y: torch.zeros(()))
    records = {r.cell.method: r for r in run(tmp_path, methods=("anchor", "qat"))}
    assert records["qat"].status == "done"
    reason = "expected `gradient` and `step` to return a dict with `loss`, got a Tensor"
    assert records["anchor"].reason == reason


def test_a_network_that_raises_at_the_first_images_is_refused_before_anything_is_computed(tmp_path, net):
    said = r"images of toy, \(3, 16, 16\), got: ZeroDivisionError: of the network \(.*py:20 in forward\)"
    with pytest.raises(UsageError, match=said):
        run(tmp_path / "r", models=("tiny", net("self.seen == 1")))
    assert not list(tmp_path.glob("r/**/*.*"))


@pytest.mark.parametrize("stage", ["begin", "gradient", "end", "log"])
@pytest.mark.parametrize(
    "error", [ZeroDivisionError("no"), MemoryError(), *slow(UsageError("too few layers"))], ids=repr
)
def test_a_method_that_raises_costs_its_own_cells(tmp_path, monkeypatch, stage, error):
    def fail(*args):
        raise error

    monkeypatch.setattr(registry.load(registry.METHODS, "anchor"), stage, fail)
    records = {r.cell.method: r for r in run(tmp_path, methods=("anchor", "qat"))}
    assert records["qat"].status == "done"
    assert records["anchor"].status == "failed"
    assert records["anchor"].reason.startswith(("crashed: Zero", "too few layers", "out of memory"))


def test_a_look_at_val_that_raises_costs_its_own_cell(tmp_path, net):
    condition = "torch.is_grad_enabled() is False and not torch.is_inference_mode_enabled() and self.seen > 3"
    settings = {"recipe": {"select_every": "4"}}
    bad, good = by_model(
        run(tmp_path / "r", models=(net(condition), "tiny"), settings=settings, methods=("fp",))
    )
    assert bad["fp"].status == "failed" or bad["fp"].status == "skipped"
    assert good["fp"].status == "done"


def test_scores_that_cannot_be_read_again_cost_one_cell(tmp_path, monkeypatch):
    meter_result = ClassificationMeter.result
    calls = []

    def fail(self):
        calls.append(self)
        if len(calls) == 1:
            raise ZeroDivisionError("in the metric")
        return meter_result(self)

    monkeypatch.setattr(ClassificationMeter, "result", fail)
    records = run(tmp_path)
    assert sorted(r.status for r in records) == ["done", "failed"]


def test_a_record_that_cannot_be_assembled_costs_one_cell(tmp_path, monkeypatch):
    module = importlib.import_module("flatqat.bench.engine.recording")
    assemble = module.assemble

    def fail(job, *args):
        if job.cell.method == "fp":
            raise ZeroDivisionError("at the end")
        return assemble(job, *args)

    monkeypatch.setattr(module, "assemble", fail)
    records = {r.cell.method: r.status for r in run(tmp_path)}
    assert records == {"fp": "failed", "qat": "done"}


def test_damaged_weights_cost_one_cell(tmp_path, monkeypatch):
    module = importlib.import_module("flatqat.bench.engine.pieces")
    train = module.train

    def damage(job, session):
        train(job, session)
        if job.cell.method == "fp":
            session.store.weights_path(job.cell).write_bytes(b"no tensors")

    monkeypatch.setattr(module, "train", damage)
    records = {r.cell.method: r for r in run(tmp_path, methods=("fp", "ptq", "qat"))}
    assert {m: r.status for m, r in records.items()} == {"fp": "failed", "ptq": "failed", "qat": "done"}
    assert "run the cell again with --rerun" in records["fp"].reason


@pytest.mark.parametrize(
    "error", ["ZeroDivisionError('no')", pytest.param(OUT_OF_MEMORY, marks=pytest.mark.slow), "SystemExit(1)"]
)
def test_flatness_that_fails_never_costs_the_scores(tmp_path, net, error):
    bad, good = by_model(run(tmp_path / "r", models=(net(IN_FLATNESS, error), "tiny"), spaces=("quantized",)))
    for record in bad.values():
        assert record.status == "done"
        assert record.scores["id"]["top1"].value is not None
        assert record.flatness.reasons.startswith(("quantized: crashed: ", "quantized: out of memory: "))
        assert not record.flatness.spaces
    assert all(r.flatness.quantized and not r.flatness.reasons for r in good.values())


def test_flatness_that_failed_is_tried_again(tmp_path, monkeypatch):
    measure = importlib.import_module("flatqat.bench.flatness.measure")
    flatness_of = measure.flatness_of

    def fail(*args, space, **kwargs):
        if space == "latent":
            raise MemoryError
        return flatness_of(*args, space=space, **kwargs)

    monkeypatch.setattr(measure, "flatness_of", fail)
    spaces = ("quantized", "latent", "step_size")
    (before,) = run(tmp_path, methods=("qat",), spaces=spaces)
    assert (list(before.flatness.spaces), before.flatness.reasons) == (
        ["quantized", "step_size"],
        "latent: out of memory",
    )
    monkeypatch.undo()
    (after,) = run(tmp_path, methods=("qat",), spaces=spaces)
    assert list(after.flatness.spaces) == list(spaces)
    assert after.flatness.reasons == ""
    assert after.flatness.quantized == before.flatness.quantized
    assert Flatness.from_dict(after.flatness.to_dict()) == after.flatness


def test_the_exit_code_tells(flatqat, tmp_path, net):
    """3 where flatness was asked for and is not there, 0 where it was not asked for."""
    options = ("--suite", "toy", "--method", "fp", "--results", tmp_path / "r", "--device", "cpu")
    model = net(IN_FLATNESS)
    done = flatqat("bench", "run", "--model", model, *options)
    assert done.code == 3
    assert "crashed: flatness toy" not in done.out
    assert "Traceback" in done.err
    assert "flatness failed: " in done.out
    assert flatqat("bench", "run", "--model", model, "--no-flatness", *options).code == 0
