"""Curves of trainings: what a sink is told, and that neither it nor its faults change anything."""

from dataclasses import replace
from typing import ClassVar

import pytest
from safetensors.torch import load_file

from flatqat import registry
from flatqat.bench.engine.train import LOG_EVERY, train
from flatqat.bench.plan.jobs import make_plan
from flatqat.bench.plan.request import Request
from flatqat.bench.records.record_json import record_to_dict
from flatqat.bench.sinks import named
from flatqat.bench.sinks.sink import Sink
from flatqat.console.progress import PlainProgress
from tests.helpers.ranks_runs import forked
from tests.helpers.running import run_plan, session_of
from tests.helpers.slow import slow

PRETRAIN, STEPS = 30, 12
SELECT = {"recipe": {"select_every": "5"}}


class Told(Sink):
    """Keeps what it is told."""

    package = "json"
    trainings: ClassVar[list] = []

    def __init__(self, training):
        self.training, self.values, self.closed = training, [], 0
        self.trainings.append(self)

    def scalars(self, rows):
        self.values += [(step, dict(values)) for step, values in rows]

    def close(self):
        self.closed += 1

    def of(self, name):
        return {step: values[name] for step, values in self.values if name in values}


@pytest.fixture(autouse=True)
def told(monkeypatch):
    Told.trainings = []
    monkeypatch.setattr(named, "SINKS", {"told": Told})
    return Told.trainings


def request(folder, **changes):
    fields = {"suites": ("toy",), "methods": ("fp", "sam"), "bits": ("3",), "seeds": (0,), "spaces": ()}
    return Request(**{**fields, "settings": SELECT, "results": folder, "log": "told", **changes})


def go(folder, said=None, **changes):
    progress = None if said is None else PlainProgress(said.append)
    return run_plan(make_plan(request(folder, **changes)), progress)


def numbers(records):
    plain = [record_to_dict(record) for record in records]
    for record in plain:
        del record["last_run"], record["train"]["seconds"]
    return plain


def test_every_step_and_every_score_on_val_as_records_have_them(tmp_path, told):
    fp, sam = go(tmp_path)
    labels = [one.training.label for one in told]
    assert labels[0].startswith("tiny-pretrain-")
    assert labels[1:] == [fp.cell.label, sam.cell.label]
    assert [one.closed for one in told] == [1, 1, 1]
    for one, record in zip(told[1:], (fp, sam), strict=True):
        assert one.training.suite == "toy"
        assert one.training.settings == record.cell.to_dict()
        assert one.training.folder == tmp_path / "logs"
        steps = [step for step, _ in one.values]
        assert steps == sorted(steps)
        loss = one.of("loss")
        assert list(loss) == list(range(1, STEPS + 1))
        assert loss[STEPS] == record.train.last_loss
        scored = record.train.selection["val_top1"]
        assert {str(at): round(value, 4) for at, value in one.of("val_top1").items()} == scored
    assert list(told[2].of("loss_moved")) == list(range(1, STEPS + 1))  # what a method returns besides
    assert list(told[0].of("loss")) == list(range(1, PRETRAIN + 1))


def test_no_number_changes(tmp_path):
    plain = go(tmp_path / "plain", log=None)
    logged = go(tmp_path / "logged")
    assert numbers(logged) == numbers(plain)
    names = sorted(path.name for path in (tmp_path / "plain/weights").iterdir())
    assert len(names) == 6  # of three trainings, those that were selected and the last ones
    for name in names:
        one, other = (load_file(tmp_path / folder / "weights" / name) for folder in ("plain", "logged"))
        assert all(one[key].equal(other[key]) for key in one)


def test_what_is_stored_or_takes_no_step_has_no_curve(tmp_path, told):
    go(tmp_path, methods=("fp", "ptq"))
    assert len(told) == 2  # the pretraining and fp
    go(tmp_path, methods=("fp", "ptq"))
    assert len(told) == 2


def test_steps_before_a_loss_that_is_not_finite_are_written(tmp_path, told):
    settings = {"recipe": {"lr": "1e30", "select_every": "0"}}
    (record,) = go(tmp_path, methods=("fp",), settings=settings)
    assert (record.status, told[1].closed) == ("failed", 1)
    assert list(told[1].of("loss")) == list(range(1, LOG_EVERY + 1))


def fail_at(name):
    def failing(self, *args):
        raise OSError(28, "No space left on device", f"{id(self)}.log")  # a file of its own for each cell

    return type("Failing", (Told,), {name: failing})


@pytest.mark.parametrize("at", ["scalars", *slow("__init__", "close")])
def test_a_sink_that_fails_costs_no_cell_and_is_said_once(tmp_path, monkeypatch, at):
    plain = go(tmp_path / "plain", log=None)
    monkeypatch.setattr(named, "SINKS", {"told": fail_at(at)})
    said = []
    records = go(tmp_path / "failing", said)
    assert numbers(records) == numbers(plain)
    lost = "--log told: curves are lost (OSError: No space left on device); results are not affected"
    assert [line for line in said if "--log" in line] == [lost]


def test_values_that_are_no_numbers_cost_only_the_curve(tmp_path, monkeypatch, told):
    from flatqat.methods.fp import FullPrecision

    step = FullPrecision.step
    monkeypatch.setattr(FullPrecision, "step", lambda self, x, y: step(self, x, y) | {"name": "a word"})
    said = []
    (record,) = go(tmp_path, said, methods=("fp",))
    assert record.status == "done"
    assert told[1].values == []
    assert [one.closed for one in told] == [1] * len(told)
    assert sum("--log told" in line for line in said) == 1


def test_an_interruption_closes_the_curve(tmp_path, monkeypatch, told):
    def interrupted(self, rows):
        raise KeyboardInterrupt

    monkeypatch.setattr(Told, "scalars", interrupted)
    with pytest.raises(KeyboardInterrupt):
        go(tmp_path)
    assert [one.closed for one in told] == [1]


def test_of_processes_that_train_together_the_first_writes(tmp_path):
    def work(ranks):
        plan = make_plan(request(tmp_path / "results", settings={}))
        train(plan.jobs[0], session_of(plan.request), ranks)
        return [list(one.of("loss")) for one in Told.trainings]

    first, second = forked(2, tmp_path / "ranks", work)
    assert first == [list(range(1, PRETRAIN + 1))]
    assert second == []


def test_the_tool_is_no_part_of_a_cell(tmp_path):
    wanted = request(tmp_path)
    ids = [job.cell.id for job in make_plan(wanted).jobs]
    assert ids == [job.cell.id for job in make_plan(replace(wanted, log=None)).jobs]


def test_the_steps_before_a_failure_are_not_lost(tmp_path, told, monkeypatch):
    sam = registry.load(registry.METHODS, "sam")
    step = sam.step

    def fail(self, x, y):
        if self.steps_done == LOG_EVERY - 3:
            raise ValueError("no more")
        return step(self, x, y)

    monkeypatch.setattr(sam, "step", fail)
    assert {record.status for record in go(tmp_path, methods=("sam",))} == {"failed"}
    assert told[-1].training.label.startswith("tiny-sam-")
    assert {at for at, values in told[-1].values if "loss" in values} >= {LOG_EVERY - 4, LOG_EVERY - 3}
    assert told[-1].closed == 1
