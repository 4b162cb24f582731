"""Available memory: of the machine, of a container, of a card, and where nothing is known."""

from pathlib import Path

import pytest
import torch

from flatqat import memory

MEMINFO = "MemTotal:       16000000 kB\nMemFree:          100000 kB\nMemAvailable:    8000000 kB\n"


@pytest.fixture(autouse=True)
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which a test says what the system reports."""
    monkeypatch.setattr(memory, "MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "CGROUP", tmp_path)
    return tmp_path


def test_caches_that_can_be_given_up_are_available(system: Path) -> None:
    (system / "meminfo").write_text(MEMINFO)
    assert memory.available_memory() == memory.available_memory(torch.device("cpu")) == 8_000_000 * 1024


@pytest.mark.parametrize(("most", "expected"), [("5000", 3300), ("1000", 0), ("max\n", 8_000_000 * 1024)])
def test_a_container_has_no_more_than_its_limit(system: Path, most: str, expected: int) -> None:
    (system / "meminfo").write_text(MEMINFO)
    (system / "memory.max").write_text(most)
    (system / "memory.current").write_text("2000\n")
    (system / "memory.stat").write_text("anon 1700\ninactive_file 300\n")
    assert memory.available_memory() == expected


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
