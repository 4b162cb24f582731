"""Workers of a cluster, as the process that starts them sees them: a pretended one, and, slow, one of Ray."""

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from types import SimpleNamespace

import pytest

from flatqat.bench.engine import ray_crew as module
from flatqat.bench.engine.auto_jobs import WORTH_A_WORKER
from flatqat.bench.engine.process import Ending
from flatqat.bench.engine.ray_cluster import Cluster
from flatqat.bench.engine.ray_crew import LIVES, RayCrew
from flatqat.bench.plan.request import Request
from flatqat.bench.records.store import Store
from flatqat.bench.report.render import render
from flatqat.console.progress import PlainProgress
from flatqat.errors import FlatqatError, UsageError
from tests.helpers import TOY
from tests.helpers.command_line import assert_one_line_error
from tests.helpers.running import session_of

DONE, KILLED = ("ended", Ending.of(0)), ("ended", Ending.of(-9))


class Actor:
    """What a test has an actor send once it has begun, and then nothing until it is dismissed."""

    def __init__(self, script) -> None:
        self.sent: SimpleQueue[tuple] = SimpleQueue()
        self.begin = SimpleNamespace(remote=lambda: [self.sent.put(event) for event in script])
        self.dismiss = SimpleNamespace(remote=lambda: self.sent.put(("ended", Ending.of(130))))


class Pretended:
    """A cluster whose actors follow scripts, in the order in which they are started."""

    device, offers = "cpu", 4

    def __init__(self, *scripts) -> None:
        self.scripts, self.left = list(scripts), 0
        self.told, self.started, self.killed = [], [], []

    @contextmanager
    def joined(self, request):
        yield self
        self.left += 1

    def actor(self, task) -> Actor:
        self.told.append(task.request)
        actor = Actor(self.scripts.pop(0) if self.scripts else [])
        self.started.append(actor)
        return actor

    def events(self, actor):
        yield ("at", f"node{self.started.index(actor)}", 7)
        while (event := actor.sent.get())[0] != "ended":
            yield event
        yield event

    def kill(self, actor) -> None:
        self.killed.append(actor)


@pytest.fixture
def work(monkeypatch, tmp_path):
    """Let workers work on a pretended cluster; returns what is said."""

    def work(cluster: Pretended, jobs: int | None = 2, units: float = 0.0, **asked) -> list[str]:
        monkeypatch.setattr(module, "joined", cluster.joined)
        said: list[str] = []
        session = session_of(
            Request(ray="auto", jobs=jobs, results=tmp_path, **asked), PlainProgress(said.append)
        )
        try:
            with RayCrew(session, []) as crew:
                crew.grow(units)
                crew.work(lambda: pytest.fail("the process that starts workers computes nothing"))
        finally:
            assert cluster.left == 1
        return said

    return work


def test_the_run_is_over_when_one_worker_finds_that_all_is_done(work):
    cluster = Pretended([("say", "hello"), DONE], [("say", "there")])
    assert sorted(work(cluster)) == ["hello", "there"]
    assert cluster.killed == cluster.started


@pytest.mark.parametrize(("shares", "workers"), [(0.5, 1), (3, 3), (100, 4)])
def test_as_many_workers_as_the_work_is_worth_and_the_cluster_has_room_for(work, shares, workers):
    cluster = Pretended(*[[DONE]] * 4)
    work(cluster, jobs=None, units=shares * WORTH_A_WORKER)
    assert len(cluster.started) == workers


def test_a_worker_that_dies_is_replaced(work):
    cluster = Pretended([("begin", 0, "train x", 9), KILLED], [DONE])
    said = work(cluster, jobs=1)
    assert said[-1] == "worker 1 on node0 (process 7) ended with signal 9; another takes its place"
    assert len(cluster.started) == 2


def test_work_that_kills_every_worker_ends_the_run(work):
    cluster = Pretended(*[[KILLED]] * 2 * LIVES)
    with pytest.raises(FlatqatError, match="got none that lives; the last one ended with signal 9"):
        work(cluster)
    assert len(cluster.started) == 2 * LIVES


def test_what_a_worker_cannot_go_on_with_ends_the_run(work):
    cluster = Pretended([("ended", Ending.of(2, "x: damaged"))])
    with pytest.raises(FlatqatError, match=r"^worker 1 on node0 \(process 7\): x: damaged$"):
        work(cluster)


@pytest.mark.parametrize(("device", "expected"), [("cpu", ("cpu", 4, 2)), ("cuda", ("cuda", 2, 4))])
def test_who_shares_memory_and_decoding_threads(work, device, expected):
    cluster = Pretended([DONE])
    cluster.device = device
    work(cluster, jobs=4, per_device=2, workers=8)
    assert {(told.device, told.jobs, told.workers) for told in cluster.told} == {expected}
    assert {told.ray for told in cluster.told} == {None}


def test_a_worker_is_told_where_it_computes():
    nodes = [
        {"Alive": alive, "Resources": {"CPU": cpus}}
        for alive, cpus in ((True, 4.0), (True, 3.0), (False, 8.0))
    ]
    ray = SimpleNamespace(cluster_resources=lambda: {"CPU": 7.0, "GPU": 2.0}, nodes=lambda: nodes)

    def cluster(**options):
        return Cluster(ray, Request(ray="auto", **options))

    assert (cluster().device, cluster().offers) == ("cuda", 2)
    assert cluster(device="cuda", per_device=4).offers == 8
    assert (cluster(device="cpu", threads=2).device, cluster(device="cpu", threads=2).offers) == ("cpu", 3)
    ray.cluster_resources = lambda: {"CPU": 7.0}
    assert (cluster().device, cluster().offers) == ("cpu", 7)
    with pytest.raises(
        UsageError, match="--ray: expected a node with 5 CPUs, as --threads asks, got nodes of at most 4"
    ):
        assert cluster(threads=5).offers
    with pytest.raises(UsageError, match="--device cuda: expected a Ray cluster with GPUs"):
        assert cluster(device="cuda").device


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        ("The actor died unexpectedly.\n\tpid: 7", Ending(1, "its actor (The actor died unexpectedly.)")),
        (
            "Died because of an error in its creation task, x\n  ^^\nImportError: no y",
            Ending(
                1,
                "its actor (Died because of an error in its creation task, x)",
                "expected the same flatqat and Ray on every node, got: ImportError: no y",
            ),
        ),
    ],
)
def test_the_death_of_an_actor_is_an_ending(raised, expected):
    def get(batch):
        raise RuntimeError(raised)

    events = SimpleNamespace(options=lambda **options: SimpleNamespace(remote=lambda: ["a batch"]))
    cluster = Cluster(SimpleNamespace(get=get), Request(ray="auto"))
    assert list(cluster.events(SimpleNamespace(events=events))) == [("ended", expected)]


RUN = (
    "bench",
    "run",
    "--plugin",
    TOY,
    "--suite",
    "toy",
    "--method",
    "fp,qat",
    "--bits",
    "3",
    "--no-flatness",
)


def test_a_missing_extra_is_one_line(flatqat, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    done = flatqat(*RUN, "--ray", "local", "--results", tmp_path / "r")
    assert_one_line_error(done, r"ray is not installed; install it with: pip install 'flatqat\[ray\]'")
    assert not (tmp_path / "r").exists()


def test_an_address_where_nobody_listens_is_one_line(flatqat, tmp_path):
    pytest.importorskip("ray")
    done = flatqat(*RUN, "--ray", "127.0.0.1:9", "--results", tmp_path / "r")
    assert_one_line_error(done, r"--ray 127.0.0.1:9: expected a Ray cluster there, got: .*refused")
    assert not (tmp_path / "r").exists()


def test_ray_is_imported_only_for_a_cluster():
    code = (
        "import sys, flatqat.bench.engine.worker, flatqat.bench.engine.run; assert 'ray' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def ran(folder: Path, *options: str, kill: bool = False) -> tuple[int, str]:
    """Run a small matrix; returns the exit code and what was said. A worker may be killed in the middle."""
    command = [sys.executable, "-m", "flatqat", *RUN, "--seeds", "4", "--results", folder, *options]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as run:
        said = []
        for line in run.stderr or ():
            said.append(line)
            if kill and line.startswith("train "):
                kill = False
                (claim, *_) = folder.glob(".work/claims/training-*.claim")
                os.kill(int(claim.read_text().split(" ")[1]), signal.SIGKILL)
        return run.wait(), "".join(said)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kill", [False, True], ids=["whole", "killed"])
def test_two_workers_of_a_cluster_write_what_one_process_writes(tmp_path, kill):
    pytest.importorskip("ray")
    assert ran(tmp_path / "alone", "--jobs", "1")[0] == 0
    began = time.monotonic()
    code, said = ran(tmp_path / "ray", "--ray", "local", "--jobs", "2", kill=kill)
    print(f"{time.monotonic() - began:.0f} s\n{said}")
    assert code == 0
    assert ("ended with signal 9; another takes its place" in said) == kill
    reports = [render(Store(tmp_path / name), None, "csv", "shift") for name in ("alone", "ray")]
    assert reports[0] == reports[1]
    assert not list((tmp_path / "ray").rglob(".*"))
