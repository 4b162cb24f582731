"""Why something failed, in one line for a record and, where it is a bug, with its traceback for the user."""

import traceback

import torch

from flatqat.console.progress import Progress
from flatqat.errors import FlatqatError, TrainingFailed

CPU_MEMORY = "not enough memory"  # part of what torch's allocator on the CPU says, in a RuntimeError
EXPECTED = (FlatqatError, TrainingFailed, FloatingPointError)
"""Errors whose message says it all."""


def explained(error: BaseException, title: str, progress: Progress) -> str:
    """Return why something failed in one line, and say it; a bug is said with its traceback."""
    first_line = str(error).partition("\n")[0]
    if out_of_memory(error):
        reason = f"out of memory: {first_line}".rstrip(": ")
    elif isinstance(error, EXPECTED):
        reason = str(error) or repr(error)
    else:
        reason = f"crashed: {error!r}"
        progress.say(f"crashed: {title}\n{''.join(traceback.format_exception(error))}")
        return reason
    progress.say(f"failed: {title}: {reason}")
    return reason


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that the machine or the device lacks memory."""
    said = isinstance(error, RuntimeError) and CPU_MEMORY in str(error)
    return said or isinstance(error, (torch.OutOfMemoryError, MemoryError))
