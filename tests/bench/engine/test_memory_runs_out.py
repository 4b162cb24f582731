"""Memory that runs out at any operation of a run costs time, or a cell: never the run, nor another's numbers."""

import importlib
import random
from pathlib import Path

import pytest

from flatqat.bench.plan.jobs import make_plan
from flatqat.bench.plan.request import Request
from flatqat.console.progress import PlainProgress
from flatqat.spec import Record
from tests.helpers.running import run_plan
from tests.helpers.scarce_memory import Scarce

pieces = importlib.import_module("flatqat.bench.engine.pieces")
STAGES = ("train", "measure", "evaluate")
QUICK = {"pretrain_steps": "3", "steps": "2", "flatness_images": "16", "flatness_draws": "2"}
DIGITS = 1e-5  # float32, and sums over fewer images at a time in another order


def run(folder: Path, said: list[str] | None = None, recipe: dict[str, str] = QUICK, **changes) -> list[Record]:
    fields = {"suites": ("toy",), "methods": ("fp", "qat"), "bits": ("3",), "seeds": (0,)}
    settings = {"settings": {"recipe": recipe}, "spaces": ("quantized",)}
    request = Request(results=folder, **{**fields, **settings, **changes})
    return run_plan(make_plan(request), None if said is None else PlainProgress(said.append))


def numbers(record: Record) -> dict:
    """All scores and flatness, in which only last digits may differ."""
    scores = {f"{s} {m}": v.value for s, metrics in record.scores.items() for m, v in metrics.items()}
    flat = record.flatness.quantized
    return scores | {"loss": flat.loss, "lambda_max": flat.lambda_max.value, "sam": flat.sharpness_sam.value}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> tuple[dict[str, dict], dict[str, list[int]]]:
    """The numbers of each cell, and which operations belong to which stage."""
    run(tmp_path_factory.mktemp("first"))  # operations that only the first run of a process has
    numbered: dict[str, list[int]] = {stage: [] for stage in STAGES}
    scarce = Scarce()
    with pytest.MonkeyPatch.context() as patch:
        for stage in STAGES:

            def counted(*args, stage=stage, work=getattr(pieces, stage)):
                start = scarce.counted
                done = work(*args)
                numbered[stage] += range(start + 1, scarce.counted + 1)
                return done

            patch.setattr(pieces, stage, counted)
        with scarce:
            records = run(tmp_path_factory.mktemp("undisturbed"))
    return {record.cell.id: numbers(record) for record in records}, numbered


def check_point(at: int, folder: Path, expected: dict[str, dict], *, digits: float) -> None:
    """Memory runs out once: all is tried again, and every cell is done with its own numbers."""
    said: list[str] = []
    with Scarce(at=at):
        records = run(folder, said)
    assert sum(line.startswith("out of memory: ") for line in said) <= 1
    assert not any("Traceback" in line for line in said)
    assert [record.status for record in records] == ["done", "done"]
    assert not any(record.flatness.failed for record in records)
    assert {r.cell.id: numbers(r) for r in records} == {
        cell_id: pytest.approx(cell, rel=digits, abs=digits) for cell_id, cell in expected.items()
    }


def points(numbered: list[int], count: int) -> list[int]:
    return random.Random(0).sample(numbered, count)


@pytest.mark.parametrize("stage", STAGES)
def test_memory_that_runs_out_once_costs_no_cell(tmp_path, undisturbed, stage):
    """Training and scoring repeat to the bit; flatness goes over half as many images at a time."""
    expected, numbered = undisturbed
    (at,) = points(numbered[stage], 1)
    check_point(at, tmp_path, expected, digits=DIGITS if stage == "measure" else 0)


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_so_it_is_at_many_points(tmp_path, undisturbed, stage):
    expected, numbered = undisturbed
    for at in points(numbered[stage], 16):
        check_point(at, tmp_path / str(at), expected, digits=DIGITS if stage == "measure" else 0)
