"""Available memory: of the machine, of a container, of a card, and where nothing is known."""

from pathlib import Path

import pytest
import torch

from flatqat import cgroups, memory

MEMINFO = "MemTotal:       16000000 kB\nMemFree:          100000 kB\nMemAvailable:    8000000 kB\n"


@pytest.fixture(autouse=True)
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which a test says what the system reports."""
    monkeypatch.setattr(memory, "MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(cgroups, "MOUNT", tmp_path)
    monkeypatch.setattr(cgroups, "MEMBERSHIP", tmp_path / "membership")
    return tmp_path


def test_caches_that_can_be_given_up_are_available(system: Path) -> None:
    (system / "meminfo").write_text(MEMINFO)
    assert memory.available_memory() == memory.available_memory(torch.device("cpu")) == 8_000_000 * 1024


def limited(group: Path, most: str) -> None:
    """A group of version 2, of whose use 300 bytes are file caches."""
    group.mkdir(parents=True, exist_ok=True)
    (group / "memory.max").write_text(most)
    (group / "memory.current").write_text("2000\n")
    (group / "memory.stat").write_text("anon 1700\ninactive_file 300\n")


@pytest.mark.parametrize(("most", "expected"), [("5000", 3300), ("1000", 0), ("max\n", 8_000_000 * 1024)])
@pytest.mark.parametrize("name", ["/", "/as/the/machine/names/it"])
def test_a_container_has_no_more_than_its_limit(system: Path, name: str, most: str, expected: int) -> None:
    (system / "meminfo").write_text(MEMINFO)
    (system / "membership").write_text(f"0::{name}\n")
    limited(system, most)
    assert memory.available_memory() == expected


@pytest.mark.parametrize(("job", "step"), [("5000", "max"), ("9000", "5000"), ("5000", "9000")])
def test_a_job_has_no_more_than_the_smallest_limit_above_it(system: Path, job: str, step: str) -> None:
    (system / "membership").write_text("0::/slurm/job_7/step_0\n")
    limited(system / "slurm" / "job_7", job)
    limited(system / "slurm" / "job_7" / "step_0", step)
    limited(system / "slurm" / "job_8", "2500")
    assert memory.available_memory() == 3300


def test_a_job_in_control_groups_of_version_1(system: Path) -> None:
    (system / "membership").write_text("4:memory:/slurm/job_7\n1:cpu,cpuacct:/other\n0::/\n")
    job = system / "memory" / "slurm" / "job_7"
    job.mkdir(parents=True)
    (job / "memory.limit_in_bytes").write_text("5000\n")
    (job / "memory.usage_in_bytes").write_text("2000\n")
    (job / "memory.stat").write_text("inactive_file 100\ntotal_inactive_file 300\n")
    assert memory.available_memory() == 3300


def test_a_system_that_reports_nothing() -> None:
    assert memory.available_memory() == memory.UNKNOWN_MEMORY


def test_what_the_allocator_holds_unused_is_available_on_a_card(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {"mem_get_info": (100, 1000), "memory_reserved": 500, "memory_allocated": 200}
    for name, value in found.items():
        monkeypatch.setattr(torch.cuda, name, lambda device, value=value: value)
    assert memory.available_memory(torch.device("cuda")) == 100 + 300


@pytest.mark.parametrize(
    ("error", "lacks"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), True),
        (
            RuntimeError("alloc_cpu.cpp:118] DefaultCPUAllocator: not enough memory: you tried"),
            True,
        ),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate(handle)"), True),
        (RuntimeError("shapes do not fit"), False),
        (ValueError("out of memory"), False),
    ],
    ids=repr,
)
def test_errors_that_say_that_memory_ran_out(error: Exception, lacks: bool) -> None:
    assert memory.out_of_memory(error) is lacks


def test_what_lacks_memory_is_said_in_one_line() -> None:
    assert memory.lack_of_memory(MemoryError()) == "out of memory"
    said = memory.lack_of_memory(torch.OutOfMemoryError("CUDA out of memory.\nOf 8 GiB"))
    assert said == "out of memory: CUDA out of memory."
