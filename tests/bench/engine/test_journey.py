"""A cell's way through a run: one network before training, one look at each record, nothing finished lost."""

import importlib
from dataclasses import replace
from pathlib import Path

import pytest

from flatqat.bench.engine.troubles import Troubles
from flatqat.bench.plan.jobs import Plan, make_plan
from flatqat.bench.plan.request import Request
from flatqat.bench.records.store import Store
from flatqat.models import base
from flatqat.spec import Record
from tests.helpers.running import run_plan, session_of

PIECES = importlib.import_module("flatqat.bench.engine.pieces")
RUN = importlib.import_module("flatqat.bench.engine.run")
FAILING = {"recipe": {"lr": "1e30"}}


def plan(results: Path, **changes: object) -> Plan:
    wanted = Request(
        suites=("toy",), methods=("fp", "qat"), bits=("3",), seeds=(0,), results=results, spaces=()
    )
    return make_plan(replace(wanted, **changes))


def test_a_network_is_built_once_for_all_seeds_before_it_trains(tmp_path, monkeypatch):
    built = []
    original = base.build
    monkeypatch.setattr(base, "build", lambda *args, **kw: built.append(kw["seed"]) or original(*args, **kw))
    made = plan(tmp_path, seeds=(0, 1, 2))
    session = session_of(made.request)
    RUN.preflight(session.lacking(made), made, session, Troubles(session.progress))
    assert built == [0]


def test_parents_come_first_and_only_where_weights_are_gone(tmp_path):
    made = plan(tmp_path, methods=("qat",))
    session = session_of(made.request)
    assert [(x.job.cell.method, x.scores) for x in session.lacking(made)] == [
        ("pretrain", False),
        ("qat", True),
    ]
    run_plan(made)
    again = plan(tmp_path, methods=("qat",), spaces=("quantized",))
    (lack,) = session_of(again.request).lacking(again)
    assert (lack.scores, lack.spaces) == (False, ("quantized",))
    for weights in (tmp_path / "weights").iterdir():
        weights.unlink()
    assert [x.job.cell.method for x in session_of(again.request).lacking(again)] == ["pretrain", "qat"]


def test_a_parent_to_be_trained_again_is_the_job_of_the_plan(tmp_path):
    """Of a plan that scores the parent too, so that its line says that it runs."""
    run_plan(plan(tmp_path, methods=("fp",)))
    for weights in (tmp_path / "weights").iterdir():
        weights.unlink()
    made = plan(tmp_path, methods=("fp", "ptq"))
    lacks = session_of(made.request).lacking(made)
    assert [x.job.cell.method for x in lacks] == ["pretrain", "fp", "ptq"]
    assert all(any(x.job is job for job in made.jobs) for x in lacks)
    assert [x.scores for x in lacks] == [False, False, True]


def test_weights_of_an_older_record_that_says_less_are_its_own(tmp_path):
    (fp,) = run_plan(plan(tmp_path, methods=("fp",)))
    store, audit = Store(tmp_path), {**fp.train.audit}
    del audit["floating_weights"]
    store.write_record(replace(fp, train=replace(fp.train, audit=audit, weights="")))
    store.drop_weights(fp.cell.training_id)
    (record,) = run_plan(plan(tmp_path, methods=("fp",), spaces=("quantized",)))
    assert record.flatness.quantized


def trained_elsewhere(store: Store, record: Record, **log: object) -> bytes:
    """Make a record one from another machine, and remove its weights; returns the file's content."""
    log = replace(record.train, **log or {"weights": "0123456789abcdef"})
    store.write_record(replace(record, train=log))
    store.drop_weights(record.cell.training_id)
    return store.record_path(record.cell).read_bytes()


@pytest.mark.parametrize(("older", "differs"), [(False, "weights"), (True, "last_loss")])
def test_numbers_of_weights_that_are_trained_again_elsewhere_join_no_record(tmp_path, older, differs):
    store = Store(tmp_path)
    (fp,) = run_plan(plan(tmp_path, methods=("fp",)))
    log = {"weights": "", "last_loss": fp.train.last_loss + 1e-7} if older else {}
    before = trained_elsewhere(store, fp, **log)
    (record,) = run_plan(plan(tmp_path, methods=("fp",), spaces=("quantized",)))
    assert record.flatness.quantized is None
    assert f"other {differs}, as of another machine or version; restore" in record.flatness.reasons
    assert "with --rerun" in record.flatness.reasons
    assert not store.has_weights(fp.cell)
    (record,) = run_plan(plan(tmp_path, methods=("ptq",)))
    assert record.status == "skipped"
    assert "expected the weights of the record of tiny-fp-s0" in record.reason
    assert store.record_path(fp.cell).read_bytes() == before
    (record,) = run_plan(plan(tmp_path, methods=("fp",), spaces=("quantized",), rerun=True))
    assert record.flatness.quantized


def test_calibrated_weights_of_another_parent_join_no_record(tmp_path):
    """A training without a step logs nothing that depends on its weights, but their digest."""
    store = Store(tmp_path)
    (ptq,) = run_plan(plan(tmp_path, methods=("ptq",)))
    assert ptq.train.last_loss is None
    trained_elsewhere(store, ptq)
    (record,) = run_plan(plan(tmp_path, methods=("ptq",), spaces=("quantized",)))
    assert record.flatness.quantized is None
    assert "with other weights, as of another machine" in record.flatness.reasons


def test_flatness_is_measured_at_the_weights_of_the_record(tmp_path):
    """Cells that differ in the images that are scored share weights, and one of them may be run again."""
    store = Store(tmp_path)
    (record,) = run_plan(plan(tmp_path, methods=("fp",)))
    before = trained_elsewhere(store, record)
    run_plan(plan(tmp_path, methods=("fp",), limit=20))
    assert store.has_weights(record.cell)
    (record,) = run_plan(plan(tmp_path, methods=("fp",), spaces=("quantized",)))
    assert "other weights" in record.flatness.reasons
    assert store.record_path(record.cell).read_bytes() == before


def test_running_again_and_failing_costs_no_finished_record(tmp_path, monkeypatch):
    (done,) = run_plan(plan(tmp_path, methods=("fp",)))
    path = Store(tmp_path).record_path(done.cell)
    before = path.read_bytes()

    def fail(*args: object) -> None:
        raise RuntimeError("no luck")

    monkeypatch.setattr(PIECES, "train", fail)
    (record,) = run_plan(plan(tmp_path, methods=("fp",), rerun=True))
    assert record.status == "skipped"  # its parent, pretraining, crashed
    assert record.reason.endswith("failed: crashed: RuntimeError('no luck')")
    assert path.read_bytes() == before


def test_flatness_that_crashes_costs_a_finished_cell_nothing(tmp_path, monkeypatch):
    (done,) = run_plan(plan(tmp_path, methods=("fp",)))

    def fail(*args: object) -> None:
        raise RuntimeError("no luck")

    monkeypatch.setattr(PIECES, "measure", fail)
    (record,) = run_plan(plan(tmp_path, methods=("fp",), spaces=("quantized",)))
    assert record.flatness.reasons == "quantized: crashed: RuntimeError('no luck')"
    assert record.scores == done.scores
    assert Store(tmp_path).record(done.cell) == done


@pytest.mark.parametrize("methods", [("fp", "ptq"), ("ptq", "fp")])
def test_what_starts_from_a_failed_parent_is_skipped_with_its_reason(tmp_path, methods):
    records = run_plan(plan(tmp_path, methods=methods, settings=FAILING))
    by_method = {record.cell.method: record for record in records}
    assert by_method["fp"].status == "failed"
    assert by_method["ptq"].status == "skipped"
    assert by_method["ptq"].reason.startswith("its parent tiny-fp-s0-")
    assert by_method["fp"].reason in by_method["ptq"].reason
