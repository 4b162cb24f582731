"""`bench run --distributed`, alone and under torchrun."""

import subprocess
import sys
from pathlib import Path

import pytest

from flatqat.bench.records.store import Store
from tests.helpers import TOY
from tests.helpers.command_line import assert_one_line_error

RUN = ("bench", "run", "--plugin", TOY, "--suite", "toy", "--bits", "3", "--seeds", "1")
DYING = """import os
import signal

from flatqat.methods.qat import QAT


class Dying(QAT):
    '''Ends one process in its third step.'''

    def step(self, x, y):
        if self.steps_done == 2 and os.environ.get("RANK") == "1":
            os.kill(os.getpid(), signal.SIGKILL)
        return super().step(x, y)


METHOD = Dying
"""


def torchrun(*words, results: Path) -> subprocess.CompletedProcess:
    launch = (sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "flatqat")
    line = [*launch, *RUN, "--device", "cpu", "--no-flatness", "--results", results, "--distributed", *words]
    return subprocess.run([str(word) for word in line], capture_output=True, text=True, timeout=300)


def test_it_needs_torchrun(flatqat, tmp_path, monkeypatch):
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    done = flatqat(*RUN, "--results", tmp_path / "results", "--distributed")
    assert_one_line_error(done, "--distributed: .* got no RANK; start it with torchrun --nproc-per-node N")
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("words", [("--jobs", "2"), ("--compile",), ("--device", "cuda:0")])
def test_what_it_excludes(flatqat, tmp_path, monkeypatch, words):
    for name, value in {
        "RANK": "0",
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "localhost",
        "MASTER_PORT": "1",
    }.items():
        monkeypatch.setenv(name, value)
    done = flatqat(*RUN, "--results", tmp_path / "results", "--distributed", *words)
    assert_one_line_error(done, "--distributed.*expected|expected.*--distributed")


def test_one_process_of_torchrun_runs_as_any(flatqat, tmp_path, monkeypatch):
    for name, value in {
        "RANK": "0",
        "WORLD_SIZE": "1",
        "MASTER_ADDR": "localhost",
        "MASTER_PORT": "1",
    }.items():
        monkeypatch.setenv(name, value)
    small = (
        "--set",
        "recipe.pretrain_steps=2",
        "--set",
        "recipe.steps=2",
        "--no-flatness",
        "--method",
        "qat",
    )
    done = flatqat(*RUN, *small, "--results", tmp_path, "--distributed")
    assert done.code == 0, done.err
    (record,) = Store(tmp_path).records()
    assert record.train.processes == 1


@pytest.mark.slow
def test_torchrun_trains_each_cell_with_all_processes(tmp_path):
    done = torchrun("--method", "fp,qat", results=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("toy v1") == 1  # one table
    assert done.stderr.count("train tiny qat") == 1
    assert "error" not in done.stderr
    records = Store(tmp_path).records()
    assert {(r.cell.method, r.status, r.train.processes) for r in records} == {
        ("fp", "done", 2),
        ("qat", "done", 2),
    }


@pytest.mark.slow
def test_a_process_that_dies_ends_the_others(tmp_path):
    plugin = tmp_path / "dying.py"
    plugin.write_text(DYING)
    results = tmp_path / "results"
    done = torchrun("--plugin", plugin, "--method", "fp,dying", results=results)
    assert done.returncode != 0
    assert "expected 2 processes to train together, but one has ended" in done.stderr
    assert "Signal 9 (SIGKILL)" in done.stderr  # torchrun says which
    assert not list((results / "records").rglob("*dying*"))
    assert len(list(results.rglob("*.safetensors"))) == 2  # those of the parent and of fp


@pytest.mark.slow
def test_a_mistake_is_said_once(tmp_path):
    done = torchrun("--method", "nothing", results=tmp_path)
    assert done.returncode != 0
    assert done.stderr.count("error: unknown method 'nothing'") == 1
