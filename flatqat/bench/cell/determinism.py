"""CUDA computes with algorithms that repeat where torch has them, and says which operators have none.

On a CPU all of torch repeats, and nothing changes.
"""

import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils import deterministic

NOT_REPEATABLE = r"(.+?) (does not have a deterministic implementation|defaults to a non-deterministic algo)"
WORKSPACE, OF_FIXED_SIZE = "CUBLAS_WORKSPACE_CONFIG", ":4096:8"  # with these, cuBLAS repeats
FLAGS: tuple[tuple[Any, str, bool], ...] = (
    (torch.backends.cudnn, "deterministic", True),
    (torch.backends.cudnn, "benchmark", False),
    (torch.backends.cudnn, "allow_tf32", False),
    (torch.backends.cuda.matmul, "allow_tf32", False),
    (deterministic, "fill_uninitialized_memory", False),  # nothing reads it before it is written
)


def repeat_on_cuda() -> None:
    """Choose full precision and algorithms that repeat; an operator without one warns, and still runs.

    cuBLAS reads the environment when it is first used, so this has to come before anything is computed.
    """
    os.environ.setdefault(WORKSPACE, OF_FIXED_SIZE)
    torch.use_deterministic_algorithms(True, warn_only=True)
    for owner, name, value in FLAGS:
        setattr(owner, name, value)


@contextmanager
def flags_put_back() -> Iterator[None]:
    """Put back after the context what `repeat_on_cuda` changes in torch."""
    repeats = torch.are_deterministic_algorithms_enabled()
    warns = torch.is_deterministic_algorithms_warn_only_enabled()
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in FLAGS]
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(repeats, warn_only=warns)
        for owner, name, value in before:
            setattr(owner, name, value)


def flags() -> dict[str, bool]:
    """Return what decides on CUDA whether numbers repeat and how precise they are, for a record."""
    return {
        "deterministic": torch.are_deterministic_algorithms_enabled() and torch.backends.cudnn.deterministic,
        "tf32": torch.backends.cudnn.allow_tf32 or torch.backends.cuda.matmul.allow_tf32,
    }


class Heard:
    """Collects the names of operators that do not repeat, while `listening`."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    @contextmanager
    def into(self, names: set[str]) -> Iterator[None]:
        """Collect the names of this context in another set."""
        before, self.names = self.names, names
        try:
            yield
        finally:
            self.names = before


@contextmanager
def listening(device: torch.device) -> Iterator[Heard]:
    """Collect torch's warnings of operators that do not repeat, in place of showing them.

    Torch gives some of them once in a process; here each cell hears its own.
    """
    heard = Heard()
    if device.type == "cpu":
        yield heard
        return
    with warnings.catch_warnings():
        warnings.filterwarnings("always", NOT_REPEATABLE)
        show, always = warnings.showwarning, torch.is_warn_always_enabled()

        def collect(message: Warning | str, *where: Any, **more: Any) -> None:
            if found := re.match(NOT_REPEATABLE, str(message)):
                heard.names.add(found[1])
            else:
                show(message, *where, **more)

        warnings.showwarning = collect
        torch.set_warn_always(True)
        try:
            yield heard
        finally:
            torch.set_warn_always(always)
