"""How much memory is left to use, on the machine or on a device, and which errors say that it ran out."""

import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from flatqat.cgroups import control_groups

UNKNOWN_MEMORY = 2**32  # assumed where a system reports nothing
SAYINGS = ("not enough memory", "out of memory", "STATUS_ALLOC_FAILED")
"""What a RuntimeError says, of torch's allocator on the CPU, of what quotes errors, of CUDA's libraries."""
MEMINFO = Path("/proc/meminfo")
OF_GROUPS = (
    ("memory.max", "memory.current", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)
"""What a control group of version 2 and of version 1 calls its limit, its use, and its file caches."""


def available_memory(device: Any = None) -> int:
    """Return the bytes that can still be used on a `torch.device`, or in main memory.

    On CUDA these are free on the card, or held by torch's allocator without being in use. In main memory they
    include caches that the system gives up, as free pages alone do not, and end at the limit of a container
    or a job.
    """
    if device is not None and device.type == "cuda":
        cuda = sys.modules["torch"].cuda
        held = cuda.memory_reserved(device) - cuda.memory_allocated(device)
        return int(cuda.mem_get_info(device)[0] + held)
    return min((*_of_machine(), *_of_groups()), default=UNKNOWN_MEMORY)


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that the machine or the device lacks memory."""
    torch: Any = sys.modules.get("torch")
    kinds = (MemoryError, torch.OutOfMemoryError) if torch else (MemoryError,)
    return isinstance(error, kinds) or (
        isinstance(error, RuntimeError) and any(saying in str(error) for saying in SAYINGS)
    )


def lack_of_memory(error: BaseException) -> str:
    """Return what an error says that is `out_of_memory`, in one line."""
    first_line = str(error).partition("\n")[0]
    return f"out of memory: {first_line}".rstrip(": ")


def _of_machine() -> Iterator[int]:
    with suppress(OSError):  # not Linux
        for line in MEMINFO.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                yield int(line.split()[1]) * 1024


def _of_groups() -> Iterator[int]:
    """Yield what is left of the limit of each control group, with the file caches that it can give up."""
    for group in control_groups("memory"):
        for limit, use, caches in OF_GROUPS:
            with suppress(OSError, ValueError, KeyError):  # another version, or no limit: "max"
                most, used = (int((group / name).read_text()) for name in (limit, use))
                counts = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
                yield max(0, most - used + int(counts[caches]))
