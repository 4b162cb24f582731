"""Commands that are derived from cells plan those cells again, and no others."""

import shlex

import pytest
from safetensors.torch import save_file
from typer.testing import CliRunner

from flatqat.bench.plan.command_lines import commands
from flatqat.bench.plan.jobs import make_plan
from flatqat.bench.plan.request import Request
from flatqat.cli import app
from flatqat.commands import execute
from flatqat.models.base import build
from flatqat.spec import Flatness, Record
from tests.helpers.records import environment, protocol, space_flatness

MATRICES = {
    "defaults": [["--method", "fp,ptq,qat"]],
    "bits and seeds": [["--method", "fp,qat,ema", "--bits", "4,w4a8,3@apot,fp", "--seeds", "3"]],
    "one late seed": [["--method", "qat", "--seeds", "7,"], ["--method", "sam", "--seeds", "0,2"]],
    "settings": [
        ["--method", "anchor", "--set", "anchor.coupling=elastic", "--set", "anchor.beta=none"],
        ["--method", "anchor,qat", "--set", "anchor.deploy=latent", "--set", "anchor.strength=1e-05"],
    ],
    "not a product": [
        ["--method", "qat", "--bits", "4,3"],
        ["--method", "sam", "--bits", "4"],
        ["--method", "qat", "--bits", "4", "--seeds", "1,"],
    ],
    "layers": [
        ["--method", "qat", "--keep", "first,stage2.0", "--layer-bits", "stage3.*=w2a4"],
        ["--keep", "none"],
    ],
    "recipe": [["--recipe", "smoke", "--set", "recipe.lr=0.003", "--limit", "50", "--amp"]],
    "adapted": [["--adapt", "bn+steps"], ["--adapt", "bn", "--bits", "3"], ["--seeds", "1"]],
    "equal compute": [["--method", "fp,qat,sam", "--compute-matched"]],
    "own network": [["--model", "file:nets.py:make", "--method", "fp,qat"]],
    "weights": [["--weights", "start here.safetensors", "--method", "fp,ptq,qat", "--bits", "4,3"]],
}


NETS = """
from torch import nn

def make(classes):
    return nn.Sequential(nn.Conv2d(3, 8, 4, 4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, classes))
"""


@pytest.fixture
def planned(monkeypatch, tmp_path):
    """The scored jobs of a command line, by cell."""
    save_file(build("tiny", classes=10, seed=0).net.state_dict(), tmp_path / "start here.safetensors")
    (tmp_path / "nets.py").write_text(NETS)
    monkeypatch.chdir(tmp_path)

    def plan_of(options):
        plans = []
        monkeypatch.setattr(execute, "execute", lambda plan, **options: plans.append(plan) or 0)
        done = CliRunner().invoke(app, ["bench", "run", *options])
        assert done.exit_code == 0, (options, done.output, done.exception)
        return {job.cell: job for job in plans[0].scored()}

    return plan_of


def record_of(job) -> Record:
    start = job.parent.cell.label if job.parent else job.weights.name if job.weights else "random weights"
    return Record(
        cell=job.cell,
        status="done",
        flatness=Flatness(quantized=space_flatness()),
        protocol=protocol({}, parent=start),
        env=environment(),
    )


def test_without_options_it_is_the_default_request_with_three_seeds(planned):
    jobs = planned([])
    assert list(jobs) == [job.cell for job in make_plan(Request()).scored()]
    assert {cell.seed for cell in jobs} == {0, 1, 2}
    assert len(jobs) == 9


@pytest.mark.parametrize("matrix", MATRICES.values(), ids=MATRICES.keys())
def test_they_plan_the_same_cells(planned, matrix):
    jobs = {}
    for options in matrix:
        jobs |= planned(options)
    lines = commands([record_of(job) for job in jobs.values()], "results/x")
    again = {}
    for line in lines:
        words = shlex.split(line)
        assert words[:3] == ["flatqat", "bench", "run"]
        assert words[-2:] == ["--results", "results/x"]
        again |= planned(words[3:])
    assert set(again) == set(jobs)


def test_methods_of_one_matrix_share_a_line(planned):
    jobs = planned(["--method", "qat,ema", "--bits", "4,3", "--seeds", "3"])
    (line,) = commands([record_of(job) for job in jobs.values()], "r")
    assert "--method qat,ema --bits 4,3 --seeds 3" in line.replace("ema,qat", "qat,ema").replace("3,4", "4,3")


@pytest.mark.parametrize(
    ("spaces", "option"),
    [
        (("latent", "quantized"), "--space quantized,latent"),
        (("latent",), "--space latent"),
        ((), "--no-flatness"),
    ],
)
def test_what_was_measured_is_asked_for_again(planned, spaces, option):
    (job,) = planned(["--method", "qat", "--seeds", "1"]).values()
    flatness = Flatness(**{space: space_flatness(space=space) for space in spaces})
    record = Record(cell=job.cell, status="done", flatness=flatness, env=environment(threads=2))
    (line,) = commands([record], "r")
    assert option in line
    assert "--threads 2" in line
