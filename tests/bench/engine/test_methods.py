"""Rules in the engine: floating point beside few bits, and the validation loss that a rule may watch."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from flatqat import registry
from flatqat.bench.cell.session import Lack
from flatqat.bench.engine import estimate, train
from flatqat.bench.engine.troubles import Troubles
from flatqat.bench.plan.jobs import make_plan
from flatqat.bench.plan.request import Request
from flatqat.bench.records.sections import sections
from flatqat.bench.records.store import Store
from flatqat.bench.report.by_method import by_method
from flatqat.methods.fp import FullPrecision
from flatqat.models.base import build
from tests.helpers.plugins import registered
from tests.helpers.running import run_plan, session_of

CPU = torch.device("cpu")


def plan(folder: Path, **changes):
    request = Request(suites=("toy",), methods=("fp",), bits=("3",), seeds=(0,), results=folder, spaces=())
    return make_plan(replace(request, **changes))


def test_quantizing_rules_run_in_floating_point_beside_few_bits(tmp_path):
    """`--bits fp,3`: one row a rule and width, and `qat` at `fp` is `fp` to the last digit."""
    records = run_plan(plan(tmp_path, methods=("fp", "qat", "sam"), bits=("fp", "3")))
    store = Store(tmp_path)
    (section,) = sections(store.records())
    table = by_method(section, store)
    names = list(zip(table["method"], table["bits"], strict=True))
    assert names == [("fp", "fp"), ("qat", "fp"), ("sam", "fp"), ("qat", "3"), ("sam", "3")]
    scores = {(r.cell.method, r.cell.quant): r.scores for r in records}
    assert scores["qat", "fp"] == scores["fp", "fp"] != scores["sam", "fp"]
    audits = {(r.cell.method, r.cell.quant): r.train.audit["quantized"] for r in records}
    assert audits["sam", "fp"] == 0 < audits["sam", "3"]
    extra = dict(zip(names, table["extra_gap"], strict=True))
    assert extra["qat", "fp"] == 0
    assert extra["fp", "fp"] is None or extra["fp", "fp"] != extra["fp", "fp"]


def test_the_loss_that_a_rule_watches_is_that_of_val(tmp_path, monkeypatch):
    monkeypatch.setattr(train, "VAL_IMAGES", 50)
    found, weights = {}, tmp_path / "start.pt"
    torch.save(build("tiny", classes=4, seed=0).net.state_dict(), weights)
    for amp in (False, True):
        request = Request(
            suites=("toy",),
            methods=("qat",),
            bits=("3",),
            seeds=(0,),
            amp=amp,
            weights=weights,
            results=tmp_path,
        )
        (job,) = make_plan(request).scored()
        model = train.starting_point(job, Store(tmp_path)).train()
        found[amp] = train.training_method(job, model, session_of(request)).setup.val_loss()
        x, y = job.suite.val(None).sample(50).batch(torch.arange(50))
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=amp):
            assert found[amp] == pytest.approx(F.cross_entropy(model.eval()(x).float(), y).item(), rel=1e-6)
    assert found[True] != found[False]


def test_what_a_rule_logs_is_kept_in_the_record(tmp_path):
    settings = {"swad": {"every": "5", "n_converge": "1"}}
    swad, qat = run_plan(plan(tmp_path, methods=("swad", "qat"), settings=settings))
    assert swad.train.method["averaged"][0] == 1
    assert len(swad.train.method["val_loss"]) == 3  # after 5, 10 and 12 steps
    assert swad.scores["noise/2"]["nll"] != qat.scores["noise/2"]["nll"]
    assert qat.train.method == {}


def test_flatness_takes_as_long_whatever_a_step_of_the_method_takes(tmp_path, monkeypatch):
    """A step of two passes takes twice as long to train with, and as long to measure."""
    seconds = {}
    monkeypatch.setattr(estimate, "seconds_to_make", lambda *_, **__: 0.0)
    dual = {"anchor": {"coupling": "dual"}}
    for name, step, settings in (("qat", 1.0, {}), ("sam", 2.0, {}), ("anchor", 2.0, dual)):
        monkeypatch.setattr(estimate, "_time", lambda *_, step=step: estimate.Timed(step=step, forward=1.0))
        jobs = plan(tmp_path, methods=(name,), settings=settings).scored()
        for spaces in ((), ("quantized",)):
            request = Request(suites=("toy",), methods=(name,), bits=("3",), seeds=(0,), spaces=spaces)
            lacks = [Lack(job=job, scores=True, spaces=spaces) for job in jobs]
            session = session_of(request)
            timed = estimate.time_steps(lacks, session, Troubles(session.progress))
            seconds[name, bool(spaces)] = estimate.estimate(lacks, session, timed)
    assert seconds["qat", False] == 12
    assert seconds["sam", False] == seconds["anchor", False] == 24
    passes = 30 * 10 + 2 * 4 + 3 * 3 * 2  # products, gradients, and pairs of losses for each of 3 radii
    images = 32
    for name, training in (("qat", 12), ("sam", 24), ("anchor", 24)):
        assert seconds[name, True] - training == images * passes


def test_numbers_of_a_log_that_are_not_finite_are_null_in_the_record(tmp_path, monkeypatch):
    """They cost nothing: the weights and the scores are there."""
    log = {"parts": [float("nan"), 1.5], "worst": float("inf")}
    monkeypatch.setattr(FullPrecision, "log", lambda self: log, raising=False)
    (record,) = run_plan(plan(tmp_path))
    assert record.status == "done"
    assert record.train.method == {"parts": [None, 1.5], "worst": None}
    assert Store(tmp_path).record(record.cell) == record


@pytest.mark.parametrize("log", [None, {"x": torch.ones(1)}, {"x": 2**70}])
def test_a_log_that_no_record_can_hold_is_blamed_on_the_plugin(tmp_path, log):
    class Mine(FullPrecision):
        def log(self):
            return log

    with registered(registry.METHODS, "mine", Mine):
        (record,) = run_plan(plan(tmp_path, methods=("mine",)))
    assert record.status == "failed"
    assert record.reason.startswith("method mine: expected a dict of plain JSON values from log, got: ")


def test_a_record_that_could_not_be_read_again_costs_its_own_cell_alone(tmp_path):
    suite = replace(registry.load(registry.SUITES, "toy"), name="mine")
    object.__setattr__(suite, "protocol", None)  # no check of suites lets it pass
    with registered(registry.SUITES, "mine", suite):
        bad, good = run_plan(plan(tmp_path, suites=("mine", "toy")))
    assert (bad.status, good.status) == ("failed", "done")
    assert "protocol.suite: expected a text, got null" in bad.reason
    assert Store(tmp_path).records() == [bad, good]
