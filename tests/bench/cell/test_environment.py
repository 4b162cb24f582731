"""Freed memory is kept for the next operation, where the C library allows it."""

import ctypes
import subprocess
import sys

import pytest

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
