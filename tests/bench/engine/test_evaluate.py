"""One pass over the shifts: what is made ahead, what is written behind, and whose error it is."""

import importlib
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch.nn.utils import parametrize

from flatqat import registry
from flatqat.bench.plan.jobs import make_plan
from flatqat.bench.plan.request import Request
from flatqat.bench.records.work import Work
from flatqat.errors import DataError
from flatqat.models.base import Normalized, build
from flatqat.quant.apply import quantizable
from flatqat.suite import Suite
from tests.helpers.plugins import registered
from tests.helpers.running import run_plan

evaluating = importlib.import_module("flatqat.bench.engine.evaluate")


def run(folder: Path, suite: str = "toy", **changes):
    request = Request(
        suites=(suite,), methods=("fp", "qat"), bits=("3",), seeds=(0,), results=folder, spaces=()
    )
    return run_plan(make_plan(replace(request, **changes)))


def with_shifts(*shifts) -> Suite:
    return replace(registry.load(registry.SUITES, "toy"), name="changed", shifts=shifts)


@pytest.mark.parametrize("workers", [1, 3])
def test_workers_change_no_score(tmp_path, workers):
    scores = [[r.scores for r in run(tmp_path / str(w), workers=w)] for w in (0, workers)]
    assert scores[0] == scores[1]


def test_a_shift_is_begun_while_the_one_before_it_is_scored(tmp_path):
    """The last build comes before the first result of the shift before it."""
    order = []
    first, *rest = registry.load(registry.SUITES, "toy").shifts

    def noted(shift):
        return replace(shift, build=lambda root: order.append(shift.name) or shift.build(root))

    suite = with_shifts(*map(noted, (first, *rest)))
    write = Work.write_scores
    with registered(registry.SUITES, "changed", suite), pytest.MonkeyPatch.context() as patch:
        patch.setattr(Work, "write_scores", lambda *args: order.append(f"wrote {args[2]}") or write(*args))
        run(tmp_path, "changed", methods=("fp",))
    scored = order[order.index("wrote val") - 1 :]
    assert scored.index("noise/1") < scored.index("wrote id")
    assert scored.index("noise/2") < scored.index("wrote noise/1")


def test_scores_are_written_by_another_thread_and_all_of_them_before_the_record(tmp_path, monkeypatch):
    write, threads = Work.write_scores, set()

    def noted(*args):
        threads.add(threading.current_thread())
        write(*args)

    monkeypatch.setattr(Work, "write_scores", noted)
    records = run(tmp_path)
    assert threading.main_thread() not in threads
    assert all(set(record.scores) == {"val", "id", "noise/1", "noise/2"} for record in records)


def test_the_weights_of_all_models_are_quantized_before_the_first_image(tmp_path, monkeypatch):
    """Later they would lie between activations: 12 ResNet-20 took 1,490 MB, and take 770."""
    predict, cached = Normalized.predict, []

    def noted(model, images):
        if parametrize._cache_enabled:
            cached.append(len(parametrize._cache))
        return predict(model, images)

    monkeypatch.setattr(Normalized, "predict", noted)
    run(tmp_path, methods=("qat", "ema"))
    assert set(cached) == {2 * len(quantizable(build("tiny", classes=4, seed=0).net))}


@pytest.mark.parametrize("last", [False, True])
def test_scores_that_cannot_be_written_cost_their_own_cell(tmp_path, monkeypatch, last):
    write = Work.write_scores

    def fail(store, cell, shift, *args):
        if cell.method == "qat" and shift == ("noise/2" if last else "val"):
            raise ZeroDivisionError("in writing")
        write(store, cell, shift, *args)

    monkeypatch.setattr(Work, "write_scores", fail)
    records = {record.cell.method: record for record in run(tmp_path)}
    assert records["fp"].status == "done"
    assert (records["qat"].status, records["qat"].reason) == (
        "failed",
        "crashed: ZeroDivisionError('in writing')",
    )


@pytest.mark.parametrize("workers", [0, 2])
def test_what_is_wrong_with_a_shift_leaves_the_scores_of_those_before_it(tmp_path, workers):
    """It is begun early, and its error waits for its turn."""
    first, *_, last = registry.load(registry.SUITES, "toy").shifts

    def damaged(root):
        if torch.is_inference_mode_enabled():  # in evaluation
            raise DataError("no such folder")
        return last.build(root)

    suite = with_shifts(first, replace(last, build=damaged))
    with registered(registry.SUITES, "changed", suite), pytest.raises(DataError, match="no such folder"):
        run(tmp_path, "changed", workers=workers)
    written = sorted(path.name for path in tmp_path.glob(".work/*/*.npz"))
    assert written == ["id.npz", "id.npz", "val.npz", "val.npz"]


def test_models_that_fill_half_of_the_memory_are_run_in_turns(tmp_path, monkeypatch):
    groups = []
    original = evaluating.Together.__init__
    monkeypatch.setattr(
        evaluating.Together,
        "__init__",
        lambda self, jobs, *a: groups.append(len(jobs)) or original(self, jobs, *a),
    )
    (together, *_) = run(tmp_path / "a"), groups.copy()
    size = max(path.stat().st_size for path in (tmp_path / "a").glob("weights/*"))
    monkeypatch.setattr(evaluating, "available_memory", lambda device: 4 * size + size)
    apart = run(tmp_path / "b")
    assert groups == [2, 1, 1]
    assert [r.scores for r in together] == [r.scores for r in apart]


@pytest.mark.parametrize(("processes", "groups"), [(None, [4, 1]), (1, [4, 1]), (2, [2, 2, 1])])
def test_processes_divide_the_memory(monkeypatch, processes, groups):
    monkeypatch.setattr(evaluating, "available_memory", lambda device: 160)
    store, request = SimpleNamespace(weights_size=lambda cell: 10), SimpleNamespace(jobs=processes)
    session = SimpleNamespace(device=None, request=request, store=store)
    found = evaluating.groups_in_memory([SimpleNamespace(cell=None)] * 5, session)
    assert [len(group) for group in found] == groups
