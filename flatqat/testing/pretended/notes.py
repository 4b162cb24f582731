"""What the pretended device saw, by the line of code that asked for it."""

import os
import sys
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import torch

# torch's files are never to blame, nor are those beside this one; frames without a file are of dataclasses.
PASSED_OVER = (os.path.dirname(torch.__file__), os.path.dirname(__file__), "<")
PACKAGE = Path(__file__).parents[2]


class RefusedByDevice(AssertionError):
    """What CUDA would raise an error for."""


@dataclass
class Notes:
    """Counts of `what at file:line`, and the operators that ran a kernel, by name in order.

    Attributes:
        waits: Where the host waits until the device has computed something.
        copies: Bytes copied from one device to the other.
        unordered: Sums of floating point numbers whose order, and so whose last digits, vary on CUDA.
        kernels: An operator on a list of tensors counts once: on CUDA it is one launch for many of them.
    """

    waits: Counter[str] = field(default_factory=Counter)
    copies: Counter[str] = field(default_factory=Counter)
    unordered: Counter[str] = field(default_factory=Counter)
    kernels: list[str] = field(default_factory=list)

    def clear(self) -> None:
        """Forget everything, for instance what came before a step."""
        for seen in (self.waits, self.copies, self.unordered, self.kernels):
            seen.clear()


def place() -> str:
    """Return `file:line` of the innermost line that is running outside torch; a file of flatqat by folder."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(PASSED_OVER):
        frame = frame.f_back
    return f"{_shown(frame.f_code.co_filename)}:{frame.f_lineno}"


@cache
def _shown(file: str) -> str:
    path = Path(file)
    return str(path.relative_to(PACKAGE.parent)) if path.is_relative_to(PACKAGE) else path.name
