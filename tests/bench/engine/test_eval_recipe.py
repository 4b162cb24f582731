"""Suites without training images: what needs no training is evaluated, the rest skipped with the reason."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from flatqat import registry
from flatqat.bench.cell.restore import restore
from flatqat.bench.plan.jobs import make_plan
from flatqat.bench.plan.request import Request
from flatqat.bench.records.store import Store
from flatqat.bench.report.render import render
from flatqat.commands.execute import dry
from flatqat.console.progress import Progress
from flatqat.errors import UsageError
from flatqat.models.base import build
from tests.helpers.plugins import registered
from tests.helpers.running import run_plan

CPU = torch.device("cpu")
REASON = "no training images: expected them in train/, got none"


@pytest.fixture
def suite():
    """The toy suite, with nothing to train on."""
    toy = registry.load(registry.SUITES, "toy")
    still = replace(toy.recipes["default"], pretrain_steps=0, steps=0)
    frozen = replace(toy, untrainable_reason=lambda root: REASON, recipes={**toy.recipes, "eval": still})
    with registered(registry.SUITES, "toy", frozen):
        yield frozen


@pytest.fixture
def weights(tmp_path) -> Path:
    """Weights with BatchNorm statistics of their own."""
    model = build("tiny", classes=4, seed=5)
    model.train()
    model(torch.rand(64, 3, 16, 16, generator=torch.Generator().manual_seed(0)))
    torch.save(model.net.state_dict(), tmp_path / "weights.pt")
    return tmp_path / "weights.pt"


def request(tmp_path: Path, **changes) -> Request:
    return replace(
        Request(
            suites=("toy",), methods=("fp", "ptq", "qat"), bits=("4",), seeds=(0,), results=tmp_path / "r"
        ),
        **changes,
    )


def test_fp_is_the_start_itself_and_qat_is_skipped(suite, weights, tmp_path):
    records = run_plan(make_plan(request(tmp_path, weights=weights)))
    assert [r.status for r in records] == ["done", "done", "skipped"]
    assert records[2].reason == REASON
    assert {r.cell.recipe for r in records} == {"eval"}
    state, stored = (
        torch.load(weights),
        restore(records[0].cell, suite, Store(tmp_path / "r")).net.state_dict(),
    )
    assert all(torch.equal(state[name], stored[name]) for name in state)  # BatchNorm statistics too
    assert REASON in render(Store(tmp_path / "r"), None, "md", "method")


def test_quantized_only_rounds(suite, weights, tmp_path):
    fp, ptq, _ = run_plan(make_plan(request(tmp_path, weights=weights)))
    assert ptq.train.steps == 0
    assert ptq.scores["id"]["nll"] != fp.scores["id"]["nll"]


def test_rounding_is_learned_without_training_images(suite, weights, tmp_path):
    ptq, adaround = run_plan(make_plan(request(tmp_path, methods=("ptq", "adaround"), weights=weights)))
    assert adaround.status == "done"
    assert adaround.train.steps == 0
    layers = adaround.train.method.values()
    assert any(layer["learned"] < layer["nearest"] for layer in layers)
    assert adaround.scores["id"]["nll"] != ptq.scores["id"]["nll"]


def test_steps_cannot_be_asked_for(suite, tmp_path):
    with pytest.raises(UsageError, match=r"recipe\.steps: expected none, since no training images"):
        make_plan(request(tmp_path, settings={"recipe": {"steps": "10"}}))


def test_untrained_weights_are_not_scored(suite, tmp_path):
    plan = make_plan(request(tmp_path))
    with pytest.raises(UsageError, match=r"tiny on toy: expected weights to start from.*--weights FILE"):
        run_plan(plan)
    with pytest.raises(UsageError, match="expected weights to start from"):
        dry(plan)


def test_a_network_from_a_file_may_bring_its_weights(suite, tmp_path):
    net = tmp_path / "net.py"
    net.write_text(
        "from torch import nn\n\n\ndef make(classes):\n"
        "    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, classes))\n"
    )
    fp, *_ = run_plan(make_plan(request(tmp_path, models=(f"file:{net}:make",))))
    assert fp.status == "done"


def test_a_start_that_cannot_run_blocks_what_starts_from_it(suite, weights, tmp_path, monkeypatch):
    monkeypatch.setattr(registry.load(registry.METHODS, "fp"), "trains", True)
    records = run_plan(make_plan(request(tmp_path, weights=weights)))
    assert [r.status for r in records] == ["skipped"] * 3
    assert records[1].reason == f"its parent {records[0].cell.label} skipped: {REASON}"


def test_another_recipe_is_replaced_aloud_and_a_wrong_name_refused(suite, weights, tmp_path):
    said, progress = [], Progress()
    progress.say = said.append
    given = request(tmp_path, methods=("fp",), weights=weights, recipe="default")
    run_plan(make_plan(given), progress)
    assert "toy: recipe eval in place of default, since nothing can be trained" in said
    with pytest.raises(UsageError, match=r"unknown recipe of toy 'defualt'.*did you mean 'default'"):
        make_plan(replace(given, recipe="defualt"))
