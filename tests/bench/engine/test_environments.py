"""Where a cell was trained, scored and measured, whichever process writes its record."""

import importlib
from dataclasses import replace
from types import SimpleNamespace

import pytest

from flatqat.bench.plan.jobs import make_plan
from flatqat.bench.plan.request import Request
from flatqat.bench.records.sections import computing_lines
from flatqat.bench.records.store import Store
from flatqat.spec import Record
from tests.helpers.running import run_plan

module = importlib.import_module("flatqat.bench.cell.environment")
pieces = importlib.import_module("flatqat.bench.engine.pieces")
recording = importlib.import_module("flatqat.bench.engine.recording")
CALLED = {"trained": (pieces, "train"), "measured": (pieces, "measure"), "scored": (pieces, "evaluate")}
CALLED["recorded"] = (recording, "assemble")


@pytest.fixture
def on_machines(monkeypatch):
    """Do each kind of work as if on a machine of this architecture."""

    def on(**machines):
        for work, name in machines.items():
            owner, function = CALLED[work]
            monkeypatch.setattr(owner, function, elsewhere(getattr(owner, function), name))

    def elsewhere(function, name):
        def called(*args):
            here = module.platform
            module.platform = SimpleNamespace(machine=lambda: name, python_version=here.python_version)
            try:
                return function(*args)
            finally:
                module.platform = here

        return called

    return on


def go(folder, **changes):
    fields = {"suites": ("toy",), "methods": ("qat",), "bits": ("3",), "seeds": (0,), "jobs": 1}
    small = {"recipe": {"pretrain_steps": "3", "steps": "2", "flatness_images": "16", "flatness_draws": "2"}}
    request = Request(results=folder, spaces=("quantized",), settings=small)
    (record,) = run_plan(make_plan(replace(request, **{**fields, **changes})))
    assert Store(folder).record(record.cell) == record
    return record


def test_a_record_of_one_machine_names_it_once(tmp_path, on_machines):
    on_machines(trained="a", measured="a", scored="a", recorded="a")
    record = go(tmp_path)
    assert record.env.device == "cpu (a)"
    assert record.environments == [record.env]
    plain = record.to_dict()
    assert "env" not in plain["train"] | plain["flatness"]["quantized"]
    assert "scoring" not in plain["protocol"]


def test_a_record_says_where_each_part_was_computed_and_not_who_wrote_it(tmp_path, on_machines):
    on_machines(trained="a", measured="b", scored="c", recorded="d")
    record = go(tmp_path)
    assert record.env.device == "cpu (c)"
    assert record.train.env.device == "cpu (a)"
    assert record.flatness.quantized.env.device == "cpu (b)"
    assert not record.protocol.scoring
    assert [each.device for each in record.environments] == ["cpu (c)", "cpu (a)", "cpu (b)"]
    assert Record.from_dict(record.to_dict()) == record


def test_flatness_that_is_measured_later_elsewhere_says_so(tmp_path, on_machines):
    on_machines(trained="a", scored="a")
    assert go(tmp_path, spaces=()).environments[1:] == []
    on_machines(measured="b")
    record = go(tmp_path)
    assert (record.env.device, record.flatness.quantized.env.device) == ("cpu (a)", "cpu (b)")


def test_a_set_that_was_scored_elsewhere_says_so(tmp_path, monkeypatch):
    write = Store.write_scores

    def write_scores(self, cell, shift, scores, outcomes, log, *rest):
        if shift == "noise/1":
            log = replace(log, env=replace(log.env, device="Another GPU"))
        write(self, cell, shift, scores, outcomes, log, *rest)

    monkeypatch.setattr(Store, "write_scores", write_scores)
    record = go(tmp_path, spaces=())
    elsewhere = {name: log.env.device for name, log in record.protocol.scoring.items()}
    assert elsewhere == {"noise/1": "Another GPU"}
    assert record.env.kind == "cpu"


def test_a_table_of_cells_trained_on_other_devices_than_they_were_scored_on_says_so(tmp_path):
    record = go(tmp_path, spaces=())
    assert computing_lines([record]) == []
    trained = replace(record, train=replace(record.train, env=replace(record.env, device="Some GPU")))
    assert computing_lines([trained]) == ["computed on Some GPU and cpu, which differ in last digits"]


def test_work_that_does_not_say_where_it_was_done_is_taken_for_that_of_the_record(tmp_path, monkeypatch):
    """Weights and scores of an older version, which a newer one finishes."""
    write = Store.write_scores

    def write_scores(self, cell, shift, scores, outcomes, log, *rest):
        write(self, cell, shift, scores, outcomes, replace(log, env=None), *rest)

    monkeypatch.setattr(Store, "write_scores", write_scores)
    record = go(tmp_path, spaces=())
    assert record.environments == [record.env]
    assert record.env.kind == "cpu"
