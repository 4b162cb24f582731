"""Flatness in several spaces, asked for at once or later."""

import importlib
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from flatqat.bench.engine.train import seeded
from flatqat.bench.flatness.measure import flatness_of
from flatqat.bench.plan.jobs import make_plan
from flatqat.bench.plan.request import Request, lacking_spaces, parse_spaces
from flatqat.bench.records.sections import problems, sections
from flatqat.errors import StoreError, UsageError
from flatqat.spec import SPACES, Flatness
from tests.helpers.records import space_flatness
from tests.helpers.running import run_plan

CPU = torch.device("cpu")
MEASURE = importlib.import_module("flatqat.bench.flatness.measure")


def go(results: Path, **changes):
    request = Request(suites=("toy",), methods=("fp", "qat"), bits=("3",), seeds=(0,), results=results)
    return run_plan(make_plan(replace(request, **changes)))


def test_spaces_asked_for_later_are_added_and_those_measured_stay(tmp_path, monkeypatch):
    first = {r.cell.method: r for r in go(tmp_path)}
    assert set(first["qat"].flatness.spaces) == {"quantized"}
    later = {r.cell.method: r for r in go(tmp_path, spaces=("quantized", "latent"))}
    assert later["qat"].flatness.quantized == first["qat"].flatness.quantized
    assert later["qat"].flatness.latent.space == "latent"
    assert later["qat"].scores == first["qat"].scores
    assert set(later["fp"].flatness.spaces) == {"quantized"}  # no rounding to stand behind
    monkeypatch.setattr("flatqat.bench.engine.pieces.measure", lambda *args: pytest.fail("measured again"))
    assert go(tmp_path, spaces=("latent",))


def test_spaces_are_those_of_one_run_each(tmp_path):
    """What is measured together is what is measured apart; a rerun measures anew."""
    (_, together) = go(tmp_path / "a", spaces=("quantized", "latent", "step_size"))
    (_, apart) = go(tmp_path / "b", spaces=("latent",))
    assert together.flatness.latent == apart.flatness.latent
    assert together.flatness.step_size.space == "step_size"
    (_, again) = go(tmp_path / "a", spaces=("latent",), rerun=True)
    assert again.flatness == apart.flatness


def test_what_could_not_be_measured_is_not_tried_again(tmp_path):
    (job,) = make_plan(
        Request(
            suites=("toy",), methods=("qat",), bits=("3",), seeds=(0,), results=tmp_path, spaces=("latent",)
        )
    ).scored()
    request = Request(
        suites=("toy",), methods=("qat",), bits=("3",), seeds=(0,), spaces=("quantized", "latent")
    )
    assert lacking_spaces(job.cell, Flatness(), request) == ["quantized", "latent"]
    assert lacking_spaces(job.cell, Flatness(latent=space_flatness()), request) == ["quantized"]
    assert lacking_spaces(job.cell, Flatness(failed="the loss is inf"), request) == []
    for reason in ("crashed: KeyError('x')", "out of memory: CUDA out of memory"):
        assert lacking_spaces(job.cell, Flatness(failed=reason), request) == ["quantized", "latent"]
    failing = Flatness(failures={"quantized": "expected a finite loss, got inf", "latent": "out of memory"})
    assert lacking_spaces(job.cell, failing, request) == ["latent"]


def test_failures_stay_until_their_space_is_measured():
    first = Flatness(
        failures={"latent": "expected a finite loss, got inf; try another", "quantized": "crashed: x"}
    )
    assert first.failures == {
        "latent": "expected a finite loss, got inf; try another",
        "quantized": "crashed: x",
    }
    assert first.updated(Flatness()) == first
    both = first.updated(Flatness(quantized=space_flatness()))
    assert both.failures == {"latent": "expected a finite loss, got inf; try another"}
    assert both.updated(Flatness(failures={"latent": "out of memory"})).failures == {
        "latent": "out of memory"
    }
    older = Flatness(quantized=space_flatness(), failed="inf")
    assert [older.failure(space) for space in SPACES] == ["", "inf", "inf"]
    later = older.updated(Flatness(latent=space_flatness()))
    assert not any(map(later.failure, SPACES))


def test_one_space_that_fails_on_its_numbers_keeps_none_from_another(tmp_path, monkeypatch):
    def fail(*args, space, **kwargs):
        if space == "latent":
            raise FloatingPointError("expected a finite loss, got inf")
        return flatness_of(*args, space=space, **kwargs)

    monkeypatch.setattr(MEASURE, "flatness_of", fail)
    (record,) = go(tmp_path, methods=("qat",), spaces=("latent",))
    assert record.flatness == Flatness(failures={"latent": "expected a finite loss, got inf"})
    (record,) = go(tmp_path, methods=("qat",), spaces=("latent", "step_size"))
    assert list(record.flatness.spaces) == ["step_size"]
    assert record.flatness.reasons == "latent: expected a finite loss, got inf"
    (line,) = [line for section in sections([record]) for line in problems(section)]
    assert line == f"flatness failed: {record.cell.label}: latent: expected a finite loss, got inf"


def test_what_is_no_fault_of_the_numbers_is_tried_again(tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise StoreError("x: expected stored weights, got a damaged file")

    monkeypatch.setattr(MEASURE, "flatness_of", fail)
    (record,) = go(tmp_path, methods=("qat",))
    assert record.flatness.reasons == "quantized: failed: x: expected stored weights, got a damaged file"
    monkeypatch.undo()
    (record,) = go(tmp_path, methods=("qat",))
    assert record.flatness.quantized
    assert record.flatness.reasons == ""


def test_names_of_spaces():
    assert parse_spaces(("step_size", "latent", "step_size")) == ("latent", "step_size")
    with pytest.raises(UsageError, match="did you mean 'latent'"):
        parse_spaces(("latnet",))


def test_layers_that_draw_while_they_train_are_seeded():
    before = torch.get_rng_state()
    draws = []
    for _ in range(2):
        with seeded(7, CPU):
            draws.append(torch.nn.functional.dropout(torch.ones(100)))
    assert torch.equal(*draws)
    assert torch.equal(before, torch.get_rng_state())
