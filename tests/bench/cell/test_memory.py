"""Freed memory is kept, and memory that caches hold counts as available."""

import ctypes
import subprocess
import sys

import pytest
import torch

from flatqat.bench.cell import memory
from flatqat.bench.cell.environment import keep_freed_memory

FAULTS = """
import resource, threading
import torch
from flatqat.bench.cell.environment import prepare
prepare(torch.device("cpu"), 1)

def work():
    for _ in range(4):
        x = torch.ones(2**22)
        (x + 1).mul_(2)

def in_thread():
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()

def faults(run):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    run()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

for run in (work, in_thread):
    print(min(faults(run) for _ in range(6)))  # memory grows in the first rounds
"""


def has_mallopt() -> bool:
    return sys.platform == "linux" and hasattr(ctypes.CDLL(None), "mallopt")


@pytest.mark.skipif(not has_mallopt(), reason="mallopt is glibc's")
def test_freed_memory_is_kept_on_every_thread() -> None:
    """Without it each of the eight blocks of 16 MiB costs a fault a page whenever it is requested."""
    done = subprocess.run(
        [sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True, timeout=120
    )
    assert max(map(int, done.stdout.split())) < 100


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    keep_freed_memory()


def test_memory_of_caches_is_available(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "meminfo"
    file.write_text("MemTotal:  8000 kB\nMemFree:  10 kB\nMemAvailable:    2000 kB\nHugePages_Total:  0\n")
    monkeypatch.setattr(memory, "MEMINFO", file)
    assert memory.available(torch.device("cpu")) == 2000 * 1024


def test_systems_without_meminfo_count_half_of_the_memory(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "MEMINFO", tmp_path / "none")
    monkeypatch.setattr("os.sysconf", lambda name: {"SC_PHYS_PAGES": 1000, "SC_PAGE_SIZE": 4096}[name])
    assert memory.available(torch.device("cpu")) == 500 * 4096

    def fail(name: str) -> int:
        raise ValueError(name)

    monkeypatch.setattr("os.sysconf", fail)
    assert memory.available(torch.device("cpu")) == memory.UNKNOWN


def test_what_the_allocator_keeps_on_the_gpu_is_available(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = {"mem_get_info": (100, 1000), "memory_reserved": 700, "memory_allocated": 200}
    for name, number in numbers.items():
        monkeypatch.setattr(torch.cuda, name, lambda device, number=number: number)
    assert memory.available(torch.device("cuda")) == 100 + 700 - 200
