"""Shared by all tests: one thread, the command line, and real data, skipped with a reason where absent.

All tests pass with any number of threads and on any CPU. FLATQAT_TEST_THREADS sets PyTorch's number of
threads, 1 by default; ATEN_CPU_CAPABILITY, a variable of PyTorch's own, limits its vector code to that of an
older CPU ("default" or "avx2").
"""

import gc
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from flatqat.bench.cell.environment import keep_freed_memory
from flatqat.cli import main
from tests.helpers import SHARED
from tests.helpers.plugins import plugins_removed

# two OpenMP threads beside another busy process are far slower than one
torch.set_num_threads(int(os.environ.get("FLATQAT_TEST_THREADS", "1")))
keep_freed_memory()


def pytest_collection_finish() -> None:
    """Take libraries and tests out of garbage collection, which would go through them in vain all the time.

    It saves 15% of the time of tests of the engine.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real data and weights."""
    if not SHARED.is_dir():
        pytest.skip(f"real data is absent: no folder {SHARED}")
    return SHARED


@pytest.fixture(autouse=True)
def own_plugins() -> Iterator[None]:
    """Plugins that a test registers are gone after it."""
    with plugins_removed():
        yield


@pytest.fixture
def flatqat(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., SimpleNamespace]:
    """Run a command in this process; gives `code`, `out`, `err`."""
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):  # of the job that runs these tests
        monkeypatch.delenv(name, raising=False)

    def run(*args: object) -> SimpleNamespace:
        monkeypatch.setattr(sys, "argv", ["flatqat", *map(str, args)])
        with pytest.raises(SystemExit) as stop:
            main()
        captured = capsys.readouterr()
        return SimpleNamespace(code=stop.value.code or 0, out=captured.out, err=captured.err)

    return run
