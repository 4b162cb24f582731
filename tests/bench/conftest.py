"""The whole benchmark on the toy suite, in process and as a command."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from flatqat import registry

TOY = Path(__file__).parent / "toy.py"
Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session", autouse=True)
def toy() -> None:
    """Make the suite `toy` known."""
    registry.add_plugin(TOY)


@pytest.fixture(scope="session")
def flatqat() -> Command:
    """Run flatqat as a command, in a process of its own."""

    def run(*args: object, timeout: float = 240, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "flatqat", *map(str, args)],
            capture_output=True,
            text=True,
            timeout=timeout,
            cwd=cwd,
            env={**os.environ, "NO_COLOR": "1"},
        )

    return run
