"""Each process has a device of its own; the numbers are those of one process."""

from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import torch

from flatqat.bench.cell import environment
from flatqat.bench.cell.determinism import flags_put_back
from flatqat.bench.cell.session import Session
from flatqat.bench.engine import crew as module
from flatqat.bench.engine.crew import Crew
from flatqat.bench.plan.request import Request
from flatqat.bench.records.store import Store
from flatqat.bench.report.render import render
from flatqat.console.progress import Progress
from flatqat.errors import UsageError
from tests.helpers import TOY
from tests.helpers.command_line import assert_one_line_error

FOUR = ("cuda:0", "cuda:1", "cuda:0", "cuda:1")


class Idle:
    """A worker that was told its task."""

    def __init__(self, task, progress, title) -> None:
        self.task, self.title = task, title

    def dismiss(self) -> None:
        pass

    wait = dismiss


def grown(monkeypatch, **asked) -> tuple[Request, list[Idle]]:
    """The requests of the process that starts the others, and the others."""
    monkeypatch.setattr(module, "LocalWorker", Idle)
    request = Request(**{"workers": 8, **asked})
    session = SimpleNamespace(request=request, progress=Progress(), device=torch.device("cpu"))
    crew = Crew(session, [])
    crew.grow(0.0)
    own = crew.grow(1e9)
    return own, crew.workers


def test_every_process_gets_the_next_device(monkeypatch):
    own, workers = grown(monkeypatch, devices=FOUR)
    assert (own.device, own.jobs, own.workers) == ("cuda:0", 2, 2)
    told = [worker.task.request for worker in workers]
    assert [request.device for request in told] == ["cuda:1", "cuda:0", "cuda:1"]
    assert {(request.jobs, request.workers, request.devices) for request in told} == {(2, 2, ())}
    assert [worker.title for worker in workers] == ["worker 1", "worker 2", "worker 3"]


def test_processes_of_one_device_share_its_memory(monkeypatch):
    own, workers = grown(monkeypatch, jobs=3, device="cpu")
    assert (own.jobs, own.workers, len(workers)) == (3, 3, 2)
    assert {worker.task.request for worker in workers if worker.task.request != own} == set()


@pytest.fixture
def two_gpus(monkeypatch) -> Iterator[list[torch.device]]:
    """A machine that says it has two GPUs; the devices that are made current."""
    current: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", current.append)
    with flags_put_back():
        yield current


@pytest.mark.parametrize(("name", "current"), [("cuda:1", ["cuda:1"]), ("cuda", []), ("cpu", [])])
def test_the_device_of_a_session_is_the_current_one(two_gpus, tmp_path, name, current):
    session = Session.open(Request(device=name, results=tmp_path), Progress())
    assert session.device == torch.device(name)
    assert list(map(str, two_gpus)) == current


def test_the_process_that_starts_the_others_has_the_first_device(two_gpus, tmp_path):
    session = Session.open(Request(devices=("cuda:1", "cpu"), results=tmp_path), Progress())
    assert (session.device, two_gpus) == (torch.device("cuda:1"), [torch.device("cuda:1")])


def test_a_device_that_is_not_there_is_answered_with_those_that_are(two_gpus, tmp_path):
    request = Request(devices=("cuda:1", "cuda:2"), results=tmp_path)
    with pytest.raises(
        UsageError, match=r"--devices cuda:2: .* has no such device; expected one of: cpu, cuda:0, cuda:1$"
    ):
        Session.open(request, Progress())
    with pytest.raises(UsageError, match=r"--device cuda:7: .* expected one of: cpu, cuda:0, cuda:1$"):
        environment.choose_device("cuda:7")


def test_what_starts_the_workers_of_a_cluster_needs_no_gpu(two_gpus, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert Session.open(Request(device="cuda", ray="auto"), Progress()).device == torch.device("cpu")


def test_a_run_on_two_devices_has_the_numbers_of_one(flatqat, tmp_path):
    run = ("bench", "run", "--plugin", TOY, "--suite", "toy", "--method", "fp,qat", "--seeds", "1")
    for name, how in (("one", ("--jobs", "1")), ("two", ("--devices", "cpu,cpu"))):
        assert flatqat(*run, "--results", tmp_path / name, *how).code == 0
    reports = [render(Store(tmp_path / name), None, "csv", "shift") for name in ("one", "two")]
    assert reports[0] == reports[1]
    assert not (tmp_path / "two" / ".work").exists()


def test_a_mistake_is_one_line(flatqat, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = ("bench", "run", "--plugin", TOY, "--suite", "toy")
    assert_one_line_error(flatqat(*run, "--devices", "cpu", "--jobs", "2"), "expected no --jobs beside it")
    assert_one_line_error(flatqat(*run, "--devices", "cuda:9999"), r"expected one of: cpu")
    assert not list(tmp_path.iterdir())
