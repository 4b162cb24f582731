"""Shared by all tests: one thread, and the folder of real data, skipped with a reason where it is absent."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from flatqat import registry

torch.set_num_threads(1)  # two OpenMP threads beside another busy process are far slower than one

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real data and weights."""
    if not SHARED.is_dir():
        pytest.skip(f"real data is absent: no folder {SHARED}")
    return SHARED


@pytest.fixture(autouse=True)
def own_plugins() -> Iterator[None]:
    """Plugins that a test registers are gone after it."""
    before = dict(registry._plugin_files)
    yield
    registry._plugin_files.clear()
    registry._plugin_files.update(before)
