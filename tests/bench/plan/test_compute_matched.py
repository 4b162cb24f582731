"""Equal compute: which rules get more steps, and that nothing else of a plan changes."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from flatqat import registry
from flatqat.bench.plan.jobs import make_plan
from flatqat.bench.plan.request import Request
from flatqat.bench.records.sections import sections
from flatqat.bench.records.store import Store
from flatqat.bench.report.by_method import by_method
from flatqat.bench.report.by_shift import by_shift
from flatqat.bench.report.render import render
from flatqat.methods.base import Method
from flatqat.spec import Cell
from tests.helpers.running import run_plan

CPU = torch.device("cpu")
METHODS = tuple(name for name in registry.names(registry.METHODS) if name != "pretrain")


def plan(folder: Path, methods=METHODS, **changes):
    request = Request(suites=("toy",), methods=methods, bits=("3",), seeds=(0,), results=folder, spaces=())
    return make_plan(replace(request, **changes))


def test_rules_of_one_pass_get_the_steps_of_two_and_nothing_else_changes(tmp_path):
    plain, matched = plan(tmp_path), plan(tmp_path, compute_matched=True)
    spent = {}
    for before, after in zip(plain.jobs, matched.jobs, strict=True):
        rule = registry.load(registry.METHODS, before.cell.method)
        stretched = rule.trains and rule.passes == 1
        assert after.cell.step_multiplier == (2 if stretched else 1), before.cell.method
        assert replace(after.cell, step_multiplier=1) == before.cell
        assert (after.cell.id == before.cell.id) != stretched
        assert after.recipe == replace(before.recipe, steps=12 * after.cell.step_multiplier)
        if rule.trains:
            spent[before.cell.method] = rule.passes * rule.steps(after.recipe)
    assert {"qat", "anchor", "sam", "saq", "swad", "ema", "lookahead"} <= set(spent)
    assert set(spent.values()) == {24}


def test_a_rule_whose_passes_depend_on_its_settings(tmp_path):
    settings = {"anchor": {"coupling": "ema,dual"}}
    jobs = plan(tmp_path, methods=("anchor",), settings=settings, compute_matched=True).scored()
    found = {dict(job.cell.method_args).get("coupling", "ema"): job.cell.step_multiplier for job in jobs}
    assert found == {"ema": 2, "dual": 1}


def test_cells_without_stretch_keep_their_identity():
    cell = Cell(suite="s", suite_version=1, model="m", method="qat", quant="4", recipe="b", seed=0)
    assert "step_multiplier" not in cell.to_dict()
    longer = replace(cell, step_multiplier=2)
    assert longer.id != cell.id
    assert Cell.from_dict(longer.to_dict()) == longer
    assert longer.derive_seed("batches") == cell.derive_seed("batches")


def test_what_others_start_from_is_not_stretched(tmp_path, monkeypatch):
    """A rule of two passes that starts from a finished `qat`, beside a `qat` of its own."""
    monkeypatch.setattr("flatqat.methods.sam.SAM.parent", "qat")
    jobs = plan(tmp_path, methods=("qat", "sam"), compute_matched=True).jobs
    found = [(job.cell.method, job.cell.step_multiplier, job.scored) for job in jobs]
    assert found == [("pretrain", 1, False), ("qat", 2, True), ("qat", 1, False), ("sam", 1, True)]


@pytest.fixture(scope="module")
def matched(tmp_path_factory):
    """Both runs of qat beside fp and sam, in one folder; every batch and rate that qat saw."""
    folder, seen = tmp_path_factory.mktemp("matched"), {}
    original = Method.gradient

    def spy(self, x, y):
        key = (type(self).__name__, self.total_steps)
        seen.setdefault(key, []).append((x.sum().item(), self.learning_rate))
        return original(self, x, y)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Method, "gradient", spy)
        run_plan(plan(folder, methods=("fp", "qat")))
        run_plan(plan(folder, methods=("fp", "qat", "sam"), compute_matched=True))
    return folder, seen


def test_stretched_training_sees_the_same_batches_and_one_longer_cosine(matched):
    _, seen = matched
    short, long = seen["QAT", 12], seen["QAT", 24]
    assert [x for x, _ in long[:12]] == [x for x, _ in short]
    assert [rate for _, rate in long[::2]] == [rate for _, rate in short]
    assert len(long) == 24
    assert len(seen["FullPrecision", 12]) == 12  # trained once, for both runs


def test_the_table_holds_both_and_names_the_longer_one(matched):
    store = Store(matched[0])
    (section,) = sections(store.records())
    rows = {(r["method"], r["bits"]): r for r in by_method(section, store).to_dict("records")}
    assert list(rows) == [("fp", "fp"), ("qat", "3"), ("sam", "3"), ("qat 2x steps", "3")]
    assert rows["qat 2x steps", "3"]["ood_nll"] != rows["qat", "3"]["ood_nll"]
    assert rows["qat 2x steps", "3"]["extra_gap"] is not None
    assert "qat 2x steps" in render(store, None, "md", "method")
    assert "qat 2x steps 3" in by_shift(section, "shift").columns
    steps = {r.cell.step_multiplier: r.train.steps for r in store.records() if r.cell.method == "qat"}
    assert steps == {1: 12, 2: 24}


def test_progress_names_the_longer_one(tmp_path):
    titles = {
        (j.cell.method, j.cell.quant): j.title
        for j in plan(tmp_path, methods=("fp", "qat", "sam"), bits=("fp", "3"), compute_matched=True).jobs
    }
    assert titles["fp", "fp"] == "tiny fp seed 0"
    assert titles["qat", "3"] == "tiny qat 3 2x steps seed 0"
    assert titles["sam", "fp"] == "tiny sam fp seed 0"
