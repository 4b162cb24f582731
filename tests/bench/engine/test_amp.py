"""Mixed precision from end to end, and what else of a request must reach the numbers."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from flatqat import registry
from flatqat.bench.cell.restore import channels_last_, restore
from flatqat.bench.plan.jobs import make_plan
from flatqat.bench.plan.request import Request
from flatqat.bench.records.sections import sections
from flatqat.bench.records.store import Store
from flatqat.metrics.task import task_of
from tests.helpers.running import run_plan
from tests.helpers.slow import slow

CPU = torch.device("cpu")


def go(folder: Path, **changes):
    request = Request(
        suites=("toy",), methods=("fp", "qat"), bits=("3",), seeds=(0,), results=folder, spaces=()
    )
    return run_plan(make_plan(replace(request, **changes)))


def test_amp_scores_are_those_of_the_model_under_autocast(tmp_path):
    """Stored NLL against the restored model called by hand in bfloat16; float32 gives another number.

    Convolutions see pixels as (B, H, W, channels) in memory, as they do not in float32.
    """
    suite = registry.load(registry.SUITES, "toy")
    for record in go(tmp_path, amp=True):
        assert record.cell.amp
        model = channels_last_(restore(record.cell, suite, Store(tmp_path)))
        nll = {}
        for amp in (True, False):
            one = task_of("classification").meter(4)
            for x, y in suite.shifts[1].build(None).batches(256):
                with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=amp):
                    one.add(model(x), y)
            nll[amp] = one.result()[0]["nll"].value
        assert record.scores["noise/1"]["nll"].value == nll[True] != nll[False]


@pytest.mark.parametrize("amp", [False, True])
def test_only_amp_moves_channels_last(tmp_path, monkeypatch, amp):
    """In float32 that would change the last digits of every number there is."""
    seen, conv2d = set(), torch.nn.functional.conv2d

    def look(images, weight, *rest):
        if torch.is_inference_mode_enabled() and weight.shape[1] > 1:  # in evaluation
            seen.add(weight.is_contiguous(memory_format=torch.channels_last))
        return conv2d(images, weight, *rest)

    monkeypatch.setattr(torch.nn.functional, "conv2d", look)
    go(tmp_path, amp=amp)
    assert seen == {amp}


def test_amp_trains_other_weights_and_never_shares_a_table_with_float32(tmp_path):
    mixed, plain = go(tmp_path, amp=True)[1], go(tmp_path)[1]
    store = Store(tmp_path)
    assert store.weights_path(mixed.cell).read_bytes() != store.weights_path(plain.cell).read_bytes()
    assert mixed.scores["noise/2"]["top1"].value == pytest.approx(
        plain.scores["noise/2"]["top1"].value, abs=15
    )  # both learn
    assert len(sections(store.records())) == 2


def test_two_limits_never_share_a_table(tmp_path):
    go(tmp_path, methods=("fp",), limit=10)
    go(tmp_path, methods=("fp",))
    assert len(sections(Store(tmp_path).records())) == 2


def test_evaluation_rounds_each_weight_once(tmp_path, monkeypatch):
    from flatqat.quant.base import Quantizer

    go(tmp_path, methods=("qat",))
    calls = []
    original = Quantizer.quantize

    def spy(self, v):
        calls.append(self.role)
        return original(self, v)

    monkeypatch.setattr(Quantizer, "quantize", spy)
    go(tmp_path, methods=("qat",), limit=50)  # scores again, trains nothing
    shifts, layers = 4, 5
    assert calls.count("input") == shifts * layers
    # once to score, and when parametrizations are registered: of the network that scores, and of that which
    # is counted
    assert calls.count("weight") == 3 * layers


@pytest.mark.parametrize("methods", [("freeze",), *slow((("anchor", "sam", "saq", "freeze", "ema"),))])
def test_compiled_steps_give_the_numbers_of_plain_ones_and_are_recorded(tmp_path, monkeypatch, methods):
    """The parent trains as fp, and ema as qat; a compiler does not see hooks, such as those of freeze."""
    compile_, graphs = torch.compile, []
    eager = {"backend": "aot_eager", "fullgraph": True}
    monkeypatch.setattr(torch, "compile", lambda model: graphs.append(model) or compile_(model, **eager))
    settings = {"anchor": {"coupling": "ema,dual"}} if "anchor" in methods else {}
    plain = go(tmp_path / "plain", methods=methods, settings=settings)
    assert not graphs
    with torch._dynamo.config.patch(recompile_limit=2):  # of one network, not of all in a run
        found = go(tmp_path / "compiled", methods=methods, settings=settings, compile=True)
    cells = len(methods) + ("anchor" in methods)  # with two settings
    assert [record.status for record in found] == ["done"] * cells
    hooked = {"saq", "freeze"} & set(methods)  # as plain as before
    assert {r.cell.method for r in found if not r.train.compiled} == hooked
    assert len(graphs) == 1 + cells - len(hooked)  # and the parent
    for one, other in zip(plain, found, strict=True):
        assert one.cell == other.cell
        # Sums in another order make 10⁻⁶; ema without its average would be 7 · 10⁻⁴ away, anchor as qat 6%.
        assert other.scores["id"]["nll"].value == pytest.approx(one.scores["id"]["nll"].value, rel=1e-4)
