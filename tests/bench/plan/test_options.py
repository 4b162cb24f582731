"""Settings that every rule shares, through the engine."""

from dataclasses import replace

import pytest
import torch

from flatqat import registry
from flatqat.bench.cell.restore import restore
from flatqat.bench.plan.jobs import make_plan
from flatqat.bench.plan.request import Request
from flatqat.bench.records.store import Store
from flatqat.errors import UsageError
from tests.helpers.running import run_plan

CPU = torch.device("cpu")


def state(folder, method: str, **settings: dict[str, str]) -> dict[str, torch.Tensor]:
    request = Request(
        suites=("toy",),
        methods=(method,),
        bits=("3",),
        seeds=(0,),
        settings=settings,
        results=folder,
        spaces=(),
    )
    (record,) = run_plan(make_plan(request))
    suite = registry.load(registry.SUITES, "toy")
    return restore(record.cell, suite, Store(folder), CPU).net.state_dict()


@pytest.mark.parametrize("method", ["qat", "freeze"])
def test_without_batches_no_rule_estimates_batchnorm_again(method, tmp_path, monkeypatch):
    """The pretraining shares the recipe, so it is stopped from it too and has the running averages."""
    calls = []
    from flatqat.methods import base

    original = base.reestimate_batchnorm
    monkeypatch.setattr(
        base,
        "reestimate_batchnorm",
        lambda model, batches: (calls.append(len(batches)), original(model, batches)),
    )
    off = state(tmp_path, method, recipe={"bn_batches": "0"})
    assert calls == [0, 0]
    tracked = [value for name, value in off.items() if name.endswith("num_batches_tracked")]
    assert tracked
    assert {int(value) for value in tracked} == {30 + 12}  # one a step since the first
    on = state(tmp_path, method)
    assert {int(v) for n, v in on.items() if n.endswith("num_batches_tracked")} == {2}


def test_ranges_by_percentile_through_the_engine(tmp_path):
    scales = [
        {n: v for n, v in state(tmp_path, "ptq", ptq=ranges).items() if n.endswith("scale")}
        for ranges in ({"ranges": "minmax"}, {"ranges": "percentile", "percentile": "90"})
    ]
    assert all((scales[1][name] <= wide).all() for name, wide in scales[0].items())
    assert any((scales[1][name] < wide).all() for name, wide in scales[0].items())


@pytest.mark.parametrize("method", ["ptq", "qat", "anchor", "saq", "fqat"])
def test_a_percentile_below_the_middle_is_refused(method, tmp_path):
    request = Request(suites=("toy",), methods=(method,), bits=("3",), seeds=(0,), results=tmp_path)
    with pytest.raises(UsageError, match=r"\.percentile: expected 50 to 100, got 0\.1"):
        make_plan(replace(request, settings={method: {"percentile": "0.1"}}))
