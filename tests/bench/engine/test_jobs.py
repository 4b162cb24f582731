"""Processes share one results folder: nothing is done twice, nothing is lost, the bytes are the same."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import traceback
from collections import Counter
from pathlib import Path
from threading import Event

import pytest

from flatqat.bench.engine import crew, pieces, process
from flatqat.bench.engine.together import Together
from flatqat.bench.engine.troubles import Troubles
from flatqat.bench.plan.jobs import make_plan
from flatqat.bench.plan.request import Request
from flatqat.bench.records.record_json import record_to_dict
from flatqat.bench.records.store import Store
from flatqat.bench.report.render import render
from flatqat.console.progress import PlainProgress, Progress
from flatqat.errors import DataError
from flatqat.spec import Record
from tests.helpers import TOY
from tests.helpers.running import run_plan, session_of
from tests.helpers.slow import slow

METHODS = ("fp", "ptq", "qat")
PATIENCE = 300.0


def request(results: Path, **changes) -> Request:
    fields = {"suites": ("toy",), "methods": METHODS, "bits": ("3",), "seeds": (0, 1), "results": results}
    return Request(**{**fields, **changes})


def go(results: Path, said: list[str] | None = None, **changes) -> list[Record]:
    progress = PlainProgress(said.append) if said is not None else None
    return run_plan(make_plan(request(results, **changes)), progress)


def numbers(results: Path) -> tuple[str, list[object]]:
    """The report, and all records without times."""
    store = Store(results)
    records = [record_to_dict(record) for record in store.records()]
    for record in records:
        del record["last_run"], record["train"]["seconds"]
    return render(store, None, "csv", "shift"), records


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """What one process writes."""
    folder = tmp_path_factory.mktemp("alone")
    go(folder)
    return numbers(folder)


def left_over(results: Path) -> list[Path]:
    return [path for path in results.rglob("*") if path.name.startswith(".")]


def fork(count: int, work) -> list[int]:
    """The exit codes of `work(number)` in as many processes."""
    children = []
    for number in range(count):
        pid = os.fork()
        if not pid:
            code = 1
            try:
                work(number)
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        children.append(pid)
    return [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]


class Log:
    """What all processes train, measure and read, a line each; they begin when `crowd` of them are there."""

    def __init__(self, results: Path, path: Path) -> None:
        self.results, self.path, self.crowd = results, path, 1

    def add(self, *what: object) -> None:
        with open(self.path, "a") as file:
            file.write(" ".join(map(str, what)) + "\n")

    def wait(self) -> None:
        while len(list(self.results.glob(".work/claims/*.present"))) < self.crowd:
            time.sleep(0.01)

    def counted(self) -> Counter[str]:
        return Counter(self.path.read_text().splitlines())

    def count(self, what: str) -> int:
        return sum(n for line, n in self.counted().items() if line.startswith(what))


@pytest.fixture
def log(tmp_path, monkeypatch):
    log = Log(tmp_path / "r", tmp_path / "log")
    train, measure, read = pieces.train, pieces.measure, Together._run

    def train_(job, session):
        log.wait()
        log.add("train", job.cell.id)
        train(job, session)

    def measure_(lack, session):
        log.add("measure", lack.job.cell.id)
        measure(lack, session)

    def read_(self, sweep, reader):
        if sweep.jobs:
            log.add("read", sweep.shift.name, len(sweep.jobs))
        read(self, sweep, reader)

    monkeypatch.setattr(pieces, "train", train_)
    monkeypatch.setattr(pieces, "measure", measure_)
    monkeypatch.setattr(Together, "_run", read_)
    return log


@pytest.mark.parametrize("rerun", [True, *slow(False)])
def test_equal_commands_share_the_work(alone, log, rerun):
    if rerun:
        go(log.results)
        log.path.unlink()
    log.crowd = 4

    def work(number):
        records = go(log.results, rerun=rerun)
        assert [record.status for record in records] == ["done"] * 6

    assert fork(log.crowd, work) == [0] * log.crowd
    assert numbers(log.results) == alone
    assert not left_over(log.results)
    assert set(log.counted().values()) == {1}
    assert [log.count(what) for what in ("train", "measure", "read")] == [8, 6, 4]
    assert all(line.endswith(" 6") for line in log.counted() if line.startswith("read")), "for all models"


def test_the_scores_of_a_record_that_is_just_being_written_are_not_missed(tmp_path, monkeypatch):
    """Whenever another process looks, the scores are there or the record is known."""
    looks: list[bool] = []
    store, plan = Store(tmp_path), make_plan(request(tmp_path, methods=("fp",), seeds=(0,), spaces=()))
    (job,) = plan.scored()

    def looking(call):
        def called(*args, **options):
            result = call(*args, **options)
            with store.claims() as claims:
                troubles = Troubles(Progress())
                troubles.share(claims)
                others = Together([job], session_of(plan.request), troubles)
                looks.append(all(map(others.has_scored, job.suite.scored)))
            return result

        return called

    for name in ("write_record", "drop_work"):
        monkeypatch.setattr(Store, name, looking(getattr(Store, name)))
    run_plan(plan)
    assert looks == [True] * 3


def test_a_failure_is_found_once_and_known_to_all(log, monkeypatch):
    train = pieces.train

    def fail(job, session):
        train(job, session)
        if job.cell.method == "fp":
            session.store.weights_path(job.cell).unlink()
            raise ZeroDivisionError("no luck")

    monkeypatch.setattr(pieces, "train", fail)
    log.crowd = 3

    def work(number):
        statuses = [record.status for record in go(log.results, seeds=(0,), spaces=())]
        assert statuses == ["failed", "skipped", "done"]

    assert fork(log.crowd, work) == [0] * log.crowd
    assert not left_over(log.results)
    assert log.count("train") == 3  # pretraining, fp, qat
    log.crowd = 1
    go(log.results, seeds=(0,), spaces=())
    assert log.count("train") == 4, "tried again"


def test_workers_write_what_one_process_writes(tmp_path, alone):
    said: list[str] = []
    go(tmp_path, said, jobs=2)
    assert numbers(tmp_path) == alone
    assert not left_over(tmp_path)
    lines = Counter(re.sub(r", about .*|: [\d.]+ s$", "", line) for line in said)
    # what is shared is shown again if one process has ended its part before the other begins
    assert lines.pop("evaluate 6 models on toy") in (1, 2)
    assert set(lines.values()) == {1}
    assert {f"network {k} of 8" for k in range(1, 9)} < {line.partition(":")[0] for line in lines}
    assert sum(line.startswith("train ") for line in lines) == 8


@pytest.fixture
def met(monkeypatch):
    """Let this process wait with its first training until a worker has begun something; `met` is set then.

    `met.workers` are the processes of all workers.
    """
    met, train, show, start = Event(), pieces.train, crew.Receiver.show, process.Process.__init__
    met.workers = []

    def show_(self, event):
        show(self, event)
        if event[0] == "begin":
            met.set()

    def start_(self, *args):
        start(self, *args)
        met.workers.append(self._process)

    def train_(job, session):
        assert met.wait(PATIENCE)
        train(job, session)

    monkeypatch.setattr(crew.Receiver, "show", show_)
    monkeypatch.setattr(process.Process, "__init__", start_)
    monkeypatch.setattr(pieces, "train", train_)
    return met


def test_a_worker_that_is_killed_costs_time_alone(tmp_path, alone, met, monkeypatch):
    said: list[str] = []
    show = crew.Receiver.show

    def kill(self, event):
        if event[0] == "begin":
            met.workers[0].send_signal(signal.SIGKILL)
        show(self, event)

    monkeypatch.setattr(crew.Receiver, "show", kill)
    monkeypatch.setattr("flatqat.bench.records.owners.LEFT_AFTER", 1e9)  # its process is known to be gone
    records = go(tmp_path, said, jobs=2)
    assert [record.status for record in records] == ["done"] * 6
    assert "worker 1 ended with signal 9; the others do its work" in said
    assert numbers(tmp_path) == alone
    assert not left_over(tmp_path)


def test_an_error_ends_the_workers_too(tmp_path, met, monkeypatch):
    train = pieces.train

    def fail(job, session):
        train(job, session)
        raise DataError("x: damaged")

    monkeypatch.setattr(pieces, "train", fail)
    with pytest.raises(DataError, match="damaged"):
        go(tmp_path, jobs=2)
    assert [worker.poll() is None for worker in met.workers] == [False]
    assert not (tmp_path / ".work" / "claims").exists()


def test_a_mistake_of_the_user_is_told_once_and_before_anything_is_computed(tmp_path, monkeypatch):
    said: list[str] = []
    workers = []
    start = process.Process.__init__
    monkeypatch.setattr(
        process.Process, "__init__", lambda self, *args: start(self, *args) or workers.append(self._process)
    )
    monkeypatch.setattr("flatqat.bench.engine.run.preflight", lambda *args: json.loads("wrong"))
    with pytest.raises(json.JSONDecodeError):
        go(tmp_path, said, jobs=3)
    assert (said, len(workers)) == ([], 2)
    assert all(worker.poll() is not None for worker in workers)
    assert not list(tmp_path.iterdir())


def test_little_work_starts_no_workers(tmp_path, monkeypatch):
    monkeypatch.setattr(process.Process, "__init__", lambda *args: pytest.fail("started"))
    assert go(tmp_path, jobs=None, methods=("fp",), seeds=(0,), spaces=())


def children(pid: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize("how", [signal.SIGINT, pytest.param(signal.SIGKILL, marks=pytest.mark.slow)])
def test_interrupting_stops_all_at_once_and_the_same_command_goes_on(tmp_path, alone, how):
    for attempt in range(10):  # on a busy machine the run may be done before it hears of this
        folder = tmp_path / str(attempt)
        code, rest, workers = interrupted(folder, how)
        if code:
            break
    assert code == (130 if how == signal.SIGINT else -signal.SIGKILL)
    assert len(workers) == 1
    began = time.monotonic()
    while any(Path(f"/proc/{pid}").exists() for pid in workers) and time.monotonic() - began < PATIENCE:
        time.sleep(0.05)
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)
    if how == signal.SIGINT:
        assert "interrupted; the same command resumes here" in rest
        assert "Traceback" not in rest
        assert not (folder / ".work" / "claims").exists()
    go(folder)
    assert numbers(folder) == alone
    assert not left_over(folder)


def interrupted(folder, how):
    """Send a signal to a run of two processes once it trains; returns its code, what it says, its workers."""
    command = [sys.executable, "-m", "flatqat", "bench", "run", "--plugin", TOY, "--suite", "toy"]
    command += ["--seeds", "2", "--bits", "3", "--method", ",".join(METHODS), "--results", folder]
    ignored = signal.SIG_DFL if how == signal.SIGINT else signal.SIG_IGN
    with subprocess.Popen(
        [*command, "--jobs", "2"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, ignored),  # a job in the background ignores it
    ) as run:
        assert run.stderr is not None
        for line in run.stderr:
            if line.startswith("train "):
                break
        workers = children(run.pid)
        run.send_signal(how)
        rest = run.stderr.read()
        return run.wait(), rest, workers


@pytest.mark.parametrize("measured", [(), ("latent",)], ids=["none", "latent"])
def test_flatness_is_measured_that_a_run_beside_did_not_want(tmp_path, measured):
    store, asked = Store(tmp_path), {"methods": ("qat",), "seeds": (0,)}
    with store.claims() as claims:  # the other run, which goes on with other cells
        (record,) = go(tmp_path, **asked, spaces=measured)
        assert not record.flatness.quantized
        for note in (record.cell.id, *[f"flatness-{record.cell.id}" for _ in measured]):
            claims.note(note)
        (record,) = go(tmp_path, **asked)
        assert set(record.flatness.spaces) == {"quantized", *measured}
    assert not left_over(tmp_path)
