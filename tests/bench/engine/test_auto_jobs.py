"""How many processes are started where nobody says it, and what the machine lets them use."""

from types import SimpleNamespace

import pytest
import torch

from flatqat import cgroups
from flatqat.bench.cell import machine
from flatqat.bench.engine import auto_jobs as module
from flatqat.bench.engine.auto_jobs import WORTH_A_WORKER, auto_jobs, jobs_worth, processes
from flatqat.bench.plan.request import Request, parse_jobs
from flatqat.errors import UsageError


@pytest.mark.parametrize(
    ("shares", "fit", "more", "jobs"),
    [
        (0.5, 8, 9, 1),  # little to do
        (1.9, 8, 9, 1),
        (2.0, 8, 9, 2),
        (100, 8, 9, 8),  # as many as there are cores
        (100, 0, 9, 1),  # more threads than cores
        (100, 8, 2, 3),  # memory for two more
        (100, 8, 0, 1),
    ],
)
def test_as_many_as_are_worth_it_and_fit(shares, fit, more, jobs):
    assert jobs_worth(shares * WORTH_A_WORKER, fit, more) == jobs


def test_cores_are_shared_among_processes_and_threads(monkeypatch):
    monkeypatch.setattr(module, "cores", lambda: 8)
    monkeypatch.setattr(module, "available_memory", lambda: 2**40)

    def jobs(device, threads):
        session = SimpleNamespace(device=torch.device(device), request=Request(threads=threads))
        return auto_jobs(1e9, session)

    assert [jobs("cpu", threads) for threads in (1, 2, 3, 8)] == [8, 4, 2, 1]
    assert jobs("cuda", 1) == 1


@pytest.mark.parametrize(
    ("options", "device", "count"),
    [
        ({"jobs": 3}, "cpu", 3),
        ({"jobs": 16}, "cpu", 8),  # as many as there are cores
        ({"jobs": 3, "threads": 4}, "cpu", 2),
        ({"jobs": None}, "cpu", 1),  # nothing to do
        ({"devices": ("cpu", "cpu")}, "cpu", 2),
        ({"jobs": 4}, "cuda", 1),
        ({"devices": ("cuda:0", "cuda:1", "cuda:1")}, "cuda", 2),
        ({"ray": "auto", "jobs": 4}, "cpu", 1),
    ],
)
def test_processes_that_share_cores_or_a_gpu_are_not_faster(monkeypatch, options, device, count):
    monkeypatch.setattr(module, "cores", lambda: 8)
    session = SimpleNamespace(device=torch.device(device), request=Request(**options))
    assert processes([], session) == count


@pytest.mark.parametrize(
    ("quota", "expected"), [("200000 100000", 2), ("50000 100000", 1), ("max 100000", 16), ("", 16)]
)
@pytest.mark.parametrize("of", [".", "job"])
def test_a_container_or_a_job_uses_the_cores_of_its_quota(tmp_path, monkeypatch, of, quota, expected):
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda pid: range(16))
    monkeypatch.setattr(cgroups, "MOUNT", tmp_path)
    monkeypatch.setattr(cgroups, "MEMBERSHIP", tmp_path / "membership")
    assert machine.cores() == 16
    (tmp_path / "membership").write_text("0::/job/step\n")
    (tmp_path / "job").mkdir()
    (tmp_path / of / "cpu.max").write_text(quota)
    assert machine.cores() == expected


@pytest.mark.parametrize(("quota", "expected"), [("300000", 3), ("50000", 1), ("-1", 16)])
def test_a_container_of_version_1_uses_the_cores_of_its_quota(tmp_path, monkeypatch, quota, expected):
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda pid: range(16))
    monkeypatch.setattr(cgroups, "MOUNT", tmp_path)
    monkeypatch.setattr(cgroups, "MEMBERSHIP", tmp_path / "membership")
    (tmp_path / "membership").write_text("3:cpu,cpuacct:/job\n")
    (tmp_path / "cpu" / "job").mkdir(parents=True)
    (tmp_path / "cpu" / "job" / "cpu.cfs_quota_us").write_text(f"{quota}\n")
    (tmp_path / "cpu" / "job" / "cpu.cfs_period_us").write_text("100000\n")
    assert machine.cores() == expected


def test_the_memory_of_this_process(tmp_path, monkeypatch):
    assert machine.peak_memory() > 2**20
    monkeypatch.setattr(machine, "STATUS", tmp_path / "absent")
    assert machine.peak_memory() == 0


def test_the_option():
    assert [parse_jobs(text) for text in ("auto", "1", "12")] == [None, 1, 12]
    for text in ("0", "-1", "two", "1025", "²", ""):
        with pytest.raises(UsageError, match="--jobs: expected auto or a number from 1 to 1024"):
            parse_jobs(text)
