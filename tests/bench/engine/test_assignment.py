"""A worker that cannot do what it is told says why, and ends with an error that its starter can tell."""

import sys
from queue import SimpleQueue
from types import SimpleNamespace

import pytest

from flatqat.bench.cell.session import Lack
from flatqat.bench.engine import crew
from flatqat.bench.engine import process as process_module
from flatqat.bench.engine.assignment import Assignment
from flatqat.bench.engine.crew import LocalWorker
from flatqat.bench.engine.process import Ending, Process
from flatqat.bench.plan.jobs import make_plan
from flatqat.bench.plan.request import Request
from flatqat.console.progress import PlainProgress
from flatqat.errors import UsageError

REQUEST = {"suites": ("toy",), "methods": ("fp",), "seeds": (0,), "spaces": ()}


def lacking(**request) -> tuple[Request, list[Lack]]:
    asked = Request(**{**REQUEST, **request})
    return asked, [Lack(job=job, scores=True) for job in make_plan(asked).scored()]


def test_what_is_to_do_is_found_again_in_an_equal_plan(tmp_path):
    request, lacks = lacking(seeds=(0, 1))
    told = Assignment.of(request, lacks).lacks_of(make_plan(request))
    assert [(lack.job.cell, lack.scores, lack.spaces) for lack in told] == [
        (lack.job.cell, True, ()) for lack in lacks
    ]


def test_plugin_files_are_named_by_their_whole_paths(tmp_path, monkeypatch):
    """A process of another folder or machine cannot find them otherwise."""
    (tmp_path / "told_rule.py").write_text("from flatqat.methods.qat import QAT as METHOD\n")
    monkeypatch.chdir(tmp_path)
    task = Assignment.of(*lacking(methods=("told-rule",), plugins=("told_rule.py",)))
    assert tmp_path / "told_rule.py" in task.plugins
    monkeypatch.chdir("/")
    assert [cell_id for cell_id, *_ in task.lacking] == [
        job.cell.id for job in make_plan(task.request).scored()
    ]


def test_other_code_plans_other_cells():
    request, lacks = lacking(seeds=(0, 1))
    other, _ = lacking(seeds=(1, 2))
    with pytest.raises(UsageError, match=r"expected the cells of .* got others for 1 of 2"):
        Assignment.of(request, lacks).lacks_of(make_plan(other))


def test_a_machine_without_the_folder_says_so(tmp_path, monkeypatch):
    gone, endings, events = tmp_path / "gone", SimpleQueue(), []
    gone.mkdir()
    monkeypatch.chdir(gone)
    task = Assignment.of(*lacking(results=tmp_path / "r"))
    monkeypatch.chdir(tmp_path)
    gone.rmdir()
    process = Process(task, events.append, endings.put)
    ending = endings.get(timeout=300)
    process.dismiss()
    process.wait()
    assert (ending.code, ending.how) == (2, "exit code 2")
    assert f"expected the folder {gone} on every machine that takes part, got: No such file" in ending.error
    assert not events


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_worker_ends_for_its_starter_even_if_an_event_cannot_be_shown(monkeypatch):
    says_one_thing = "import pickle, sys; sys.stdout.buffer.write(pickle.dumps('an event'))"
    monkeypatch.setattr(process_module, "WORKER", (sys.executable, "-c", says_one_thing))
    endings = SimpleQueue()

    def show(event):
        raise ValueError(event)

    process = Process(None, show, endings.put)
    assert endings.get(timeout=60).how == "exit code 0"
    process.dismiss()
    process.wait()


def test_endings_in_words():
    assert [Ending.of(code).how for code in (-9, 1)] == ["signal 9", "exit code 1"]


@pytest.mark.parametrize(
    ("ending", "expected"),
    [
        (Ending.of(0), []),
        (Ending.of(-9), ["worker 1 ended with signal 9; the others do its work"]),
        (Ending.of(2, "x: damaged"), ["a worker ended: x: damaged"]),
    ],
)
def test_what_is_said_of_the_end_of_a_worker(monkeypatch, ending, expected):
    def ended_at_once(task, show, ended):
        ended(ending)
        return SimpleNamespace(begin=None, wait=None)

    said: list[str] = []
    monkeypatch.setattr(crew, "Process", ended_at_once)
    LocalWorker(None, PlainProgress(said.append), "worker 1")
    assert said == expected
